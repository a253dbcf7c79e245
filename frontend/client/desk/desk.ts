import type { Ephemeral, From, Positions } from "../wire.ts";
import type { OutboxItem, Reply } from "./commands.ts";
import type { Entry, FoldInput, Realm } from "./model.ts";

export interface DeskState {
  kind: "connecting" | "live" | "reconnecting" | "catching_up" | "offline" | "doubtful" | "stopped";
  /** Unix ms, this machine's clock. */
  since: number;
  /** The close code behind it, where there is one. */
  code: number | null;
  /** When the next attempt is made (Unix ms), while waiting for it. */
  retryAt: number | null;
}

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
  /** GET /api/<realm><path>. Throws Refusal or Unreachable. */
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
  command(
    name: string,
    o: { conv?: string; args: object; commandId?: string; durable?: boolean },
  ): Promise<Reply>;
  outbox: {
    list(conv: string): OutboxItem[];
    on(cb: () => void): () => void;
    retry(id: string): void;
    remove(id: string): void;
    confirm(commandId: string): void;
  };
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
