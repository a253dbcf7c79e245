/**
 * The thin shell around `Delivery`: the WebSocket, timers, the page's visibility, the ids of device and tab.
 * It decides nothing. Only this file says WebSocket.
 */
import { Delivery, type Out, type State } from "./delivery.ts";
import { Tab } from "./tab.ts";
import { type Reader, Watches } from "./watches.ts";
import type { Ephemeral, From, Positions } from "./wire.ts";

export interface SocketState extends State {
  /** Unix ms by this machine's clock: when `kind` became what it is. */
  since: number;
  /** Unix ms by this machine's clock: when the last frame had come by then, or null. */
  heardAt?: number | null;
}

export interface SocketOptions {
  realm: string;
  client: string;
  login: (why: number | null) => Promise<void>;
  /** Origin of the server when it is not the page's own. Outside a browser there is no page's own. */
  base?: string | undefined;
  /**
   * For Node, where no browser sends the login: headers of the upgrade and of requests, `Cookie` and `Origin` among
   * them. Asked for before each try, so a new login is taken up. A browser's WebSocket takes none: leave it out there.
   */
  headers?: (() => Record<string, string>) | undefined;
  /** My own read mark went out; nobody else will tell this page. */
  marked?: ((stream: string, read: number) => void) | undefined;
}

export interface Watching {
  /** Streams watched already are left where they are. */
  add(positions: Record<string, From>): void;
  remove(streams: string[]): void;
  end(): void;
}

export interface Socket {
  onState(cb: (state: SocketState) => void): () => void;
  state(): SocketState;
  watch(positions: Record<string, From>, reader: Reader): Watching;
  /** Signs from this page itself: the server does not send them back to the connection they came from. */
  echo(sign: Ephemeral): void;
  streams(prefix: string): string[];
  /** Of a stream watched here, once the server has named it. */
  epoch(stream: string): string | null;
  mark(stream: string, position: number): void;
  typing(stream: string, on: boolean): void;
  viewing(stream: string, on: boolean): void;
  expect(positions: Positions): void;
  retryNow(): void;
  serverNow(): number;
  /** Unix ms by this machine's clock: when the last frame came, or null. */
  heardAt(): number | null;
  clock(now: number): void;
  close(): void;
}

const SUBPROTOCOL = "desk.v1";
const ASK_MS = 10_000;
/** Timers stop while a machine sleeps; a look every 5 s notices soon that it did. */
const LOOK_MS = 5_000;
/** A shift of the server's clock above this is a new clock, not a slow frame. */
const CLOCK_MS = 2_000;

export function openSocket(options: SocketOptions): Socket {
  return new PageSocket(options);
}

class PageSocket implements Socket {
  private readonly delivery: Delivery;
  private readonly watches = new Watches();
  private readonly tab = new Tab();
  private readonly listeners = new Set<(state: SocketState) => void>();
  private readonly undo: (() => void)[] = [];
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private shown: SocketState;
  private ahead: number | null = null;
  private attempt = 0;
  private started = false;
  private heard: number | null = null;
  private readonly options: SocketOptions;

  constructor(options: SocketOptions) {
    this.options = options;
    this.delivery = new Delivery(options.client, Math.random);
    this.shown = { ...this.delivery.state, since: Date.now() };
  }

  onState(cb: (state: SocketState) => void): () => void {
    this.listeners.add(cb);
    cb(this.shown);
    return () => this.listeners.delete(cb);
  }

  state(): SocketState {
    return this.shown;
  }

  watch(positions: Record<string, From>, reader: Reader): Watching {
    const streams = new Set<string>();
    const guarded: Reader = {
      ...reader,
      lost: (stream, why, again) => {
        streams.delete(stream);
        reader.lost(stream, why, again);
      },
    };
    const remove = (gone: string[]) => {
      const unwatched = gone.filter(
        (stream) => streams.delete(stream) && this.watches.remove(guarded, stream),
      );
      if (unwatched.length) this.do(this.delivery.unwatch(unwatched, clock()));
    };
    const add = (more: Record<string, From>) => {
      const news = Object.keys(more).filter((stream) => !streams.has(stream));
      for (const stream of news) streams.add(stream);
      this.sit(guarded, Object.fromEntries(news.map((stream) => [stream, more[stream] ?? null])));
    };
    add(positions);
    return { add, remove, end: () => remove([...streams]) };
  }

  echo(sign: Ephemeral): void {
    this.watches.sign(sign, clock());
  }

  streams(prefix: string): string[] {
    return this.watches.names().filter((stream) => stream.startsWith(prefix));
  }

  epoch(stream: string): string | null {
    return this.delivery.place(stream)?.[0] ?? null;
  }

  mark(stream: string, position: number): void {
    this.do(this.delivery.mark(stream, position, clock()));
  }

  typing(stream: string, on: boolean): void {
    this.do(this.delivery.typing(stream, on, clock()));
  }

  viewing(stream: string, on: boolean): void {
    this.do(this.delivery.viewing(stream, on, clock()));
  }

  expect(positions: Positions): void {
    this.do(this.delivery.expect(positions, clock()));
  }

  retryNow(): void {
    if (this.started) this.do(this.delivery.retry(clock()));
  }

  serverNow(): number {
    return Date.now() + (this.ahead ?? 0);
  }

  heardAt(): number | null {
    return this.heard;
  }

  /** Frames are late, never early: of near figures the highest is the truest. */
  clock(now: number): void {
    const ahead = now - Date.now();
    const near = this.ahead !== null && Math.abs(ahead - this.ahead) < CLOCK_MS;
    this.ahead = near ? Math.max(ahead, this.ahead ?? ahead) : ahead;
  }

  close(): void {
    for (const undo of this.undo) undo();
    this.do(this.delivery.close(clock()));
    clearTimeout(this.timer);
  }

  private sit(reader: Reader, positions: Record<string, From>): void {
    const places: Record<string, From> = {};
    for (const stream of Object.keys(positions)) {
      const standing = this.watches.has(stream) ? this.delivery.place(stream) : undefined;
      const place = this.watches.add(reader, stream, positions[stream] ?? null, standing);
      if (place !== undefined) places[stream] = place;
      const signs = this.watches.signs(stream);
      if (signs.length) reader.signs?.(stream, signs, null);
    }
    if (!Object.keys(places).length) return;
    this.do(this.delivery.watch(places, clock()));
    this.start();
  }

  /** With the first stream to watch: a page at its login form has nothing to ask a socket for. */
  private start(): void {
    if (this.started) return;
    this.started = true;
    this.listen();
    this.do(this.delivery.start(clock()));
  }

  // --- carrying out what Delivery returns --------------------------------------------------------------

  private do(outs: Out[]): void {
    for (const out of outs) {
      try {
        this.carryOut(out);
      } catch (error) {
        // A reader that stumbles over one event must stop neither the others nor the acks.
        console.error(error);
      }
    }
    this.showState();
    this.arm();
  }

  private carryOut(out: Out): void {
    switch (out.do) {
      case "send":
        return this.socket?.send(JSON.stringify(out.frame));
      case "apply":
        return this.apply(out.stream, out.position, out.event);
      case "sign":
        return this.watches.sign(out.sign, clock());
      case "signs":
        return this.watches.replaceSigns(out.stream, out.signs, clock());
      case "marked":
        return this.options.marked?.(out.stream, out.read);
      case "load":
        return this.watches.lose(out.stream, out.why, true);
      case "gone":
        return this.watches.lose(out.stream, out.why, false);
      case "clock":
        return this.clock(out.now);
      case "open":
        return void this.open(out.anew);
      case "drop":
        return this.drop(out.code);
      case "ask":
        return void this.ask();
      case "login":
        return this.login(out.why);
      case "complaint":
        return console.warn("deskwire: the server complains:", out.code, out.about);
    }
  }

  private apply(stream: string, position: number, event: unknown): void {
    const place = this.delivery.place(stream);
    this.watches.apply(stream, place?.[0] ?? null, position, event);
  }

  private async open(anew: boolean): Promise<void> {
    this.attempt += 1;
    const attempt = this.attempt;
    const who = await this.tab.identity(anew);
    if (attempt !== this.attempt) return;
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.address(), this.protocols());
    } catch {
      return this.do(this.delivery.lost(1006, clock()));
    }
    this.socket = socket;
    const mine = (act: (now: number) => Out[]) => {
      if (this.socket === socket) this.do(act(clock()));
    };
    socket.onopen = () => mine((now) => this.delivery.opened(who, now));
    socket.onmessage = ({ data }) =>
      mine((now) => {
        this.heard = Date.now();
        return this.delivery.receive(String(data), now);
      });
    socket.onclose = ({ code }) =>
      mine((now) => {
        this.socket = null;
        return this.delivery.lost(code, now);
      });
  }

  private drop(code: number): void {
    this.attempt += 1;
    const socket = this.socket;
    this.socket = null;
    try {
      socket?.close(code);
    } catch {
      // It was never open; nothing is owed to it.
    }
  }

  private address(): string {
    return `${this.origin().replace(/^http/, "ws")}/ws/${this.options.realm}`;
  }

  private protocols(): any {
    const headers = this.options.headers?.();
    return headers ? { protocols: [SUBPROTOCOL], headers } : SUBPROTOCOL;
  }

  private origin(): string {
    return this.options.base ?? location.origin;
  }

  /** Browsers hide why a socket did not open; the same checks stand behind this route. */
  private async ask(): Promise<void> {
    const [status, retryAfterMs] = await this.askMe();
    this.do(this.delivery.answered(status, retryAfterMs, clock()));
  }

  private async askMe(): Promise<[number, number | null]> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), ASK_MS);
    try {
      const answer = await fetch(`${this.origin()}/api/${this.options.realm}/me`, {
        method: "POST",
        body: "{}",
        credentials: "same-origin",
        headers: {
          ...this.options.headers?.(),
          "Content-Type": "application/json",
          "Deskwire-Client": this.options.client,
        },
        signal: stop.signal,
      });
      const after = Number(answer.headers.get("Retry-After"));
      return [answer.status, after > 0 ? after * 1000 : null];
    } catch {
      return [0, null];
    } finally {
      clearTimeout(timer);
    }
  }

  private login(why: number | null): void {
    const done = (ok: boolean) => {
      if (why !== null) this.do(this.delivery.renewed(ok, clock()));
    };
    Promise.resolve()
      .then(() => this.options.login(why))
      .then(
        () => done(true),
        () => done(false),
      );
  }

  private showState(): void {
    const state = this.delivery.state;
    const { kind, code, retryAt } = this.shown;
    if (state.kind === kind && state.code === code && state.retryAt === retryAt) return;
    const since = state.kind === kind ? this.shown.since : Date.now();
    this.shown = { ...state, since, heardAt: this.heard };
    for (const listener of [...this.listeners]) listener(this.shown);
  }

  private arm(): void {
    clearTimeout(this.timer);
    if (this.delivery.state.code === 1000) return;
    const now = clock();
    const dues = [this.delivery.dueAt, this.watches.dueAt, now + LOOK_MS];
    const due = Math.min(...dues.filter((at): at is number => at !== null));
    this.timer = setTimeout(() => this.wake(), Math.max(0, due - now));
  }

  private wake(): void {
    const now = clock();
    this.watches.wake(now);
    this.do(this.delivery.wake(now));
  }

  // --- the page -------------------------------------------------------------------------------------------

  private listen(): void {
    if (typeof window === "undefined" || typeof document === "undefined") return;
    const on = (target: EventTarget, name: string, act: () => Out[]) => {
      const heard = () => this.do(act());
      target.addEventListener(name, heard);
      this.undo.push(() => target.removeEventListener(name, heard));
    };
    const visible = () => this.delivery.show(document.visibilityState !== "hidden", clock());
    on(document, "visibilitychange", visible);
    on(window, "pagehide", () => this.delivery.show(false, clock()));
    on(window, "pageshow", () => [...visible(), ...this.delivery.look(clock())]);
    on(window, "focus", () => this.delivery.look(clock()));
    on(window, "online", () => this.delivery.net(true, clock()));
    on(window, "offline", () => this.delivery.net(false, clock()));
    this.do(visible());
    if (navigator.onLine === false) this.do(this.delivery.net(false, clock()));
  }
}

let lastClock = 0;
let behind = 0;

/** Unix ms that never goes back; unlike performance.now it goes on while the machine sleeps. */
function clock(): number {
  const now = Date.now();
  if (now + behind < lastClock) behind = lastClock - now;
  lastClock = now + behind;
  return lastClock;
}
