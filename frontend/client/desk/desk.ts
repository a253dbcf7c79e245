/** The desk for a page: snapshots, the streams after them, commands. Behaviour is in the parts it joins. */
import { openSocket, type Socket, type SocketState, type Watching } from "../socket.ts";
import { localStore } from "../storage.ts";
import type { Reader } from "../watches.ts";
import type { Ephemeral, From, Positions } from "../wire.ts";
import { type CommandOptions, Commands, LoginGate, withLogin } from "./commands.ts";
import { Following } from "./following.ts";
import { type Request, requestsTo } from "./http.ts";
import type { DeskEvent, Entry, FoldInput, Realm } from "./model.ts";
import { Outbox, type OutboxItem, type Reply } from "./outbox.ts";

export type DeskState = SocketState;

export interface DeskOptions {
  realm: Realm;
  /** Name and version of the page, ≤ 64 characters. */
  client: string;
  /** State lives in memory; each opening begins with a snapshot. */
  keep: "memory";
  /**
   * The server wants a new login. `why` is the close code, or null: it is about to end, renew it quietly.
   * Resolve when there is one (the client goes on by itself), reject when there will be none.
   */
  login: (why: number | null) => Promise<void>;
  /** Whose outbox this is; learnt from `me` of the first answer that holds one when left out. */
  person?: string;
  /** Origin of the server when it is not the page's own. */
  base?: string;
  /** For Node: see SocketOptions. */
  headers?: () => Record<string, string>;
}

export interface Watch {
  add(positions: Record<string, From>): void;
  end(): void;
}

export interface Talk<V = any> {
  view(): V;
  /** Put something beside the events into the view (an older page, rows): `talk.update(v => withEarlier(v, page))`. */
  update(change: (view: V) => V): void;
  /** Watch more streams; their entries are folded into the same view. */
  add(positions: Record<string, From>): void;
  /** Seen up to here; goes out only while the page is visible. */
  read(position: number): void;
  typing(on: boolean, mode?: "reply" | "note"): void;
  viewing(on: boolean): void;
  reload(): Promise<void>;
  end(): void;
}

export type Follow = <S extends { positions: Positions }, V>(
  path: string,
  fold: (view: V | null, input: FoldInput<S>) => V,
  show: (view: V) => void,
  /** The server no longer lets us watch this (denied, left, revoked, gone, not_found). */
  lost?: (why: string) => void,
) => Promise<Talk<V>>;

export interface Desk {
  /** Called at once with the present state. */
  onState(cb: (state: DeskState) => void): () => void;
  /** 立即重试, and 在此使用 after 4504 or 4505. */
  retryNow(): void;
  /** Unix ms by the server's clock. */
  serverNow(): number;
  /** Unix ms by this machine's clock: when the last frame came, or null before the first. */
  heardAt(): number | null;
  /** GET /api/<realm><path>. Throws Refusal or Unreachable; waits for a new login where one is needed. */
  get<T>(path: string): Promise<T>;
  /** As it stands: a 401 is thrown, not answered with a login. */
  post<T>(path: string, body: unknown): Promise<T>;
  /** `durable`: kept on the device until the server has it. Else a few tries, then it throws. */
  command(name: string, o: CommandOptions): Promise<Reply>;
  outbox: {
    list(conv: string): OutboxItem[];
    on(cb: () => void): () => void;
    retry(id: string): void;
    remove(id: string): void;
    confirm(commandId: string): void;
  };
  /** Snapshot, then everything after it, folded; begins anew by itself after a reset. Throws if the first load fails. */
  follow: Follow;
  /** Each event once, in order. `lost`: reset or unwatched; take a new snapshot and watch from it. */
  watch(
    positions: Record<string, From>,
    apply: (entry: Entry) => void,
    signs?: (signs: Ephemeral[], stream: string) => void,
    lost?: (stream: string, why: string) => void,
  ): Watch;
  close(): void;
}

export function openDesk(options: DeskOptions): Desk {
  return new PageDesk(options);
}

class PageDesk implements Desk {
  readonly outbox: Outbox;
  private readonly socket: Socket;
  private readonly request: Request;
  private readonly gate: LoginGate;
  private readonly commands: Commands;
  private readonly followed = new Map<string, number>();
  private readonly options: DeskOptions;
  private person: string | null = null;
  private undo: (() => void)[] = [];

  constructor(options: DeskOptions) {
    this.options = options;
    const { realm, client, base, headers } = options;
    this.gate = new LoginGate(async (why) => {
      await options.login(why);
      this.loggedIn(why);
    });
    this.request = requestsTo(`${base ?? ""}/api/${realm}`, client, headers);
    const replied = (reply: Reply) => this.socket.expect(reply.positions ?? {});
    this.commands = new Commands(this.request, this.gate, replied);
    this.outbox = new Outbox({
      realm,
      store: localStore(),
      send: (command) => this.commands.send(command),
      follows: (conv) => this.followed.has(conv),
      now: Date.now,
      dice: Math.random,
      later: (act, ms) => {
        const timer = setTimeout(act, ms);
        return () => clearTimeout(timer);
      },
    });
    const login = (why: number | null) => this.gate.enter(why);
    const marked = (stream: string, read: number) => this.marked(stream, read);
    this.socket = openSocket({ realm, client, base, headers, login, marked });
    if (options.person) this.know(options.person);
    this.listen();
  }

  onState(cb: (state: DeskState) => void): () => void {
    return this.socket.onState(cb);
  }

  retryNow(): void {
    this.socket.retryNow();
    this.outbox.kick();
  }

  serverNow(): number {
    return this.socket.serverNow();
  }

  heardAt(): number | null {
    return this.socket.heardAt();
  }

  async get<T>(path: string): Promise<T> {
    const answer: any = await withLogin(this.gate, () => this.request("GET", path));
    if (typeof answer?.now === "number") this.socket.clock(answer.now);
    if (typeof answer?.me?.id === "string") this.know(answer.me.id);
    return answer;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const answer: any = await this.request("POST", path, { body });
    if (typeof answer?.me?.id === "string") this.know(answer.me.id);
    return answer;
  }

  command(name: string, o: CommandOptions): Promise<Reply> {
    return this.commands.run(this.outbox, name, o);
  }

  follow: Follow = async (path, fold, show, lost) => {
    const following = new Following(
      { ...this.ports(), path },
      { fold, show, lost: lost ?? (() => undefined) },
    );
    await following.reload();
    return following;
  };

  watch(
    positions: Record<string, From>,
    apply: (entry: Entry) => void,
    signs?: (signs: Ephemeral[], stream: string) => void,
    lost?: (stream: string, why: string) => void,
  ): Watch {
    const reader: Reader = {
      apply: (stream, position, event) => {
        apply({ stream, position, event: event as DeskEvent });
        this.saw(stream, position, event as DeskEvent);
      },
      signs: signs && ((stream, all) => signs(all, stream)),
      lost: (stream, why) => lost?.(stream, why),
    };
    const watching: Watching = this.socket.watch(positions, reader);
    return { add: watching.add, end: watching.end };
  }

  close(): void {
    for (const undo of this.undo) undo();
    this.outbox.close();
    this.socket.close();
  }

  // --- between the parts --------------------------------------------------------------------------------

  private ports() {
    return {
      socket: this.socket,
      get: <T>(path: string) => this.get<T>(path),
      saw: (stream: string, position: number, event: DeskEvent) =>
        this.saw(stream, position, event),
      loaded: (snapshot: { positions: Positions; entries?: Entry[] }) => this.loaded(snapshot),
      screen: (conv: string, on: boolean) => this.screen(conv, on),
    };
  }

  private loaded({ positions, entries }: { positions: Positions; entries?: Entry[] }): void {
    for (const { stream, event } of entries ?? []) this.confirm(stream, event);
    for (const stream of Object.keys(positions)) {
      const place = positions[stream];
      if (place) this.outbox.seen(stream, place);
    }
  }

  /** My own words have come back by the road on which everybody sees them. */
  private confirm(stream: string, { by, data }: DeskEvent): void {
    const mine = by !== null && by.realm === this.options.realm && by.id === this.person;
    const id = data?.command_id;
    if (mine && typeof id === "string" && stream.startsWith("conv:")) this.outbox.confirm(id);
  }

  private saw(stream: string, position: number, event: DeskEvent): void {
    this.confirm(stream, event);
    const epoch = this.socket.epoch(stream);
    if (epoch) this.outbox.seen(stream, [epoch, position]);
  }

  private screen(conv: string, on: boolean): void {
    const count = (this.followed.get(conv) ?? 0) + (on ? 1 : -1);
    if (count > 0) {
      this.followed.set(conv, count);
      return;
    }
    this.followed.delete(conv);
    this.outbox.left(conv);
  }

  private know(person: string): void {
    this.person = person;
    this.outbox.open(person);
  }

  /** The lists and the open conversation hear of my own mark from here. */
  private marked(stream: string, read: number): void {
    const { realm } = this.options;
    const conv = stream.slice("conv:".length);
    const own = { conv, read, delivered: read };
    for (const personal of this.socket.streams(`${realm}:`))
      this.socket.echo({ stream: personal, type: "marks", key: `marks:${conv}`, data: own });
    const person = this.person;
    if (person === null) return;
    const data = { person, realm, read, delivered: read, at: this.serverNow() };
    this.socket.echo({ stream, type: "marks", key: `marks:${realm}:${person}`, data });
  }

  private loggedIn(why: number | null): void {
    const { kind, code } = this.socket.state();
    if (why !== null && kind === "stopped" && code === 4500) this.socket.retryNow();
    this.outbox.kick();
  }

  private listen(): void {
    let before = "";
    const off = this.socket.onState(({ kind }) => {
      if (kind === before) return;
      if (kind === "stopped" || before === "stopped") this.outbox.pause(kind === "stopped");
      else if (kind === "live" || kind === "catching_up") this.outbox.kick();
      before = kind;
    });
    this.undo.push(off);
    if (typeof window === "undefined" || typeof window.addEventListener !== "function") return;
    const heard = (event: StorageEvent) => {
      if (event.key) this.outbox.storeChanged(event.key, event.newValue);
    };
    window.addEventListener("storage", heard);
    this.undo.push(() => window.removeEventListener("storage", heard));
  }
}
