/** One snapshot and what follows it, folded into one view; begins anew when the streams cannot be resumed. */
import type { Socket, Watching } from "../socket.ts";
import type { Reader } from "../watches.ts";
import type { Ephemeral, From, Positions } from "../wire.ts";
import type { Talk } from "./desk.ts";
import { isTransient, Refusal, retryDelay } from "./http.ts";
import type { DeskEvent, Entry, FoldInput } from "./model.ts";

export interface FollowingPorts {
  path: string;
  socket: Socket;
  get<T>(path: string): Promise<T>;
  saw(stream: string, position: number, event: DeskEvent): void;
  loaded(snapshot: { positions: Positions; entries?: Entry[] }): void;
  /** A conversation came on screen or left it. */
  screen(conv: string, on: boolean): void;
}

export interface FollowingOptions<S, V> {
  fold: (view: V | null, input: FoldInput<S>) => V;
  show: (view: V) => void;
  lost: (why: string) => void;
}

const CONVERSATION = /^\/conversations\/([^/?]+)$/;

export class Following<S extends { positions: Positions }, V> implements Talk<V> {
  private current: V | null = null;
  private watching: Watching | null = null;
  private stream = "";
  private staff = "";
  private isOver = false;
  private isDirty = false;
  private loads = 0;
  private loaded = 0;
  private beginning: Promise<void> | null = null;
  private readonly conv: string | null;
  private readonly ports: FollowingPorts;
  private readonly options: FollowingOptions<S, V>;

  constructor(ports: FollowingPorts, options: FollowingOptions<S, V>) {
    this.ports = ports;
    this.options = options;
    const named = CONVERSATION.exec(ports.path)?.[1];
    this.conv = named === undefined ? null : decodeURIComponent(named);
    if (this.conv !== null) ports.screen(this.conv, true);
  }

  view(): V {
    if (this.current === null) throw new Error("not loaded yet");
    return this.current;
  }

  update(change: (view: V) => V): void {
    this.current = change(this.view());
    this.showSoon();
  }

  add(positions: Record<string, From>): void {
    if (!this.isOver) this.watching?.add(positions);
  }

  read(position: number): void {
    if (this.stream) this.ports.socket.mark(this.stream, position);
  }

  typing(on: boolean, mode: "reply" | "note" = "reply"): void {
    const stream = mode === "note" ? this.staff : this.stream;
    if (stream) this.ports.socket.typing(stream, on);
  }

  viewing(on: boolean): void {
    if (this.staff) this.ports.socket.viewing(this.staff, on);
  }

  /** A new snapshot in place of what is there. Throws Refusal or Unreachable; what is there stays then. */
  async reload(): Promise<void> {
    this.loads += 1;
    const load = this.loads;
    let snapshot: S;
    try {
      snapshot = await this.ports.get<S>(this.ports.path);
    } catch (error) {
      if (this.current === null) this.end();
      throw error;
    }
    if (this.isOver || load !== this.loads) return;
    this.loaded += 1;
    this.current = this.options.fold(this.current, { snapshot });
    this.ports.loaded(snapshot);
    this.options.show(this.current);
    this.watch(snapshot.positions);
  }

  end(): void {
    if (this.isOver) return;
    this.viewing(false);
    this.isOver = true;
    this.watching?.end();
    if (this.conv !== null) this.ports.screen(this.conv, false);
  }

  private watch(positions: Positions): void {
    const streams = Object.keys(positions);
    this.stream = streams.find((stream) => /^conv:[^:]+$/.test(stream)) ?? "";
    this.staff = streams.find((stream) => /^conv:[^:]+:staff$/.test(stream)) ?? "";
    if (this.conv === null) this.stream = this.staff = "";
    const before = this.watching;
    this.watching = this.ports.socket.watch(positions, this.reader());
    // An employee hears of their own rating on their personal stream only, which the lists watch already.
    if (this.conv !== null && !this.staff)
      for (const own of this.ports.socket.streams("employee:")) this.watching.add({ [own]: null });
    before?.end();
  }

  private reader(): Reader {
    return {
      apply: (stream, position, data) => {
        const event = data as DeskEvent;
        this.take({ entry: { stream, position, event } });
        this.ports.saw(stream, position, event);
      },
      signs: (stream, all, news) => this.take(news ? { sign: news } : this.standing(stream, all)),
      lost: (_stream, why, again) => {
        if (this.isOver) return;
        if (again) this.beginAnew();
        else this.options.lost(why);
      },
    };
  }

  private standing(stream: string, signs: Ephemeral[]): FoldInput<S> {
    return { signs, stream };
  }

  private take(input: FoldInput<S>): void {
    if (this.isOver || this.current === null) return;
    this.current = this.options.fold(this.current, input);
    this.showSoon();
  }

  /** A burst of events is shown once. */
  private showSoon(): void {
    if (this.isDirty) return;
    this.isDirty = true;
    Promise.resolve().then(() => {
      this.isDirty = false;
      if (!this.isOver && this.current !== null) this.options.show(this.current);
    });
  }

  /** After a reset: until a snapshot comes, or the server says that there is none for us. */
  private beginAnew(): Promise<void> {
    this.beginning ??= this.tryUntilLoaded().finally(() => {
      this.beginning = null;
    });
    return this.beginning;
  }

  private async tryUntilLoaded(): Promise<void> {
    const before = this.loaded;
    // Resets of several streams come together; one snapshot answers them all.
    await Promise.resolve();
    for (let failures = 1; !this.isOver && this.loaded === before; failures++) {
      try {
        await this.reload();
      } catch (error) {
        if (!isTransient(error))
          return this.options.lost(error instanceof Refusal ? error.code : "failed");
        await new Promise((done) => setTimeout(done, retryDelay(failures, error, Math.random)));
      }
    }
  }
}
