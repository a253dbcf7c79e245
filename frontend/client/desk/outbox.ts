/**
 * What a person has written and the server has not yet taken. It lives on the device, by realm, person and conversation;
 * first in, first out within a conversation, always under the id it was given first, so nothing is lost by a reload
 * and nothing is said twice.
 *
 * An item leaves the list when its event was seen, not when the POST answered: a bubble never vanishes and never doubles.
 */
import type { Store } from "../storage.ts";
import type { Place, Positions } from "../wire.ts";
import { isTransient, Refusal, type RefusalBody, retryDelay } from "./http.ts";

export interface OutboxItem {
  commandId: string;
  conv: string;
  name: string;
  args: any;
  at: number;
  state: "sending" | "waiting" | "failed";
  /** failed without a refusal: older than 24 h, ask before it goes out. */
  refusal: RefusalBody | null;
}

export interface Command {
  commandId: string;
  conv: string;
  name: string;
  args: any;
}

export interface Reply {
  result: any;
  positions: Positions;
  command_id: string;
}

export interface OutboxPorts {
  realm: string;
  store: Store;
  send(command: Command): Promise<Reply>;
  /** Is the conversation on screen, so that its event will be seen? */
  follows(conv: string): boolean;
  now(): number;
  dice(): number;
  later(act: () => void, ms: number): () => void;
}

/** A conversation that does not exist yet. */
export const NEW = "new";
export const OLD_MS = 24 * 3600 * 1000;
const PREFIX = "deskwire:outbox:";

interface Kept extends OutboxItem {
  failures: number;
  /** The person has said that it may go although it is old. */
  wanted: boolean;
  /** Its event was seen, or it was taken off the list: no longer shown. */
  hidden: boolean;
  /** The server has it; where its event stands. */
  taken: Positions | null;
  stored: string | null;
}

type Waiter = { resolve: (reply: Reply) => void; reject: (error: unknown) => void };

export class Outbox {
  private items: Kept[] = [];
  private person: string | null = null;
  private busy = new Set<string>();
  private timers = new Map<string, () => void>();
  private waiters = new Map<string, Waiter>();
  private listeners = new Set<() => void>();
  private paused = false;
  private readonly ports: OutboxPorts;

  constructor(ports: OutboxPorts) {
    this.ports = ports;
  }

  /** Whose it is. What another person left on this device goes away; what this one left goes out. */
  open(person: string): void {
    if (this.person === person) return;
    if (this.person !== null) this.items = [];
    this.person = person;
    const mine = this.prefix();
    for (const key of this.ports.store.keys()) {
      if (!key.startsWith(PREFIX + this.ports.realm)) continue;
      if (key.startsWith(mine)) this.load(key);
      else if (key.startsWith(`${PREFIX}${this.ports.realm}:`)) this.ports.store.remove(key);
    }
    this.items.sort((a, b) => a.at - b.at || (a.commandId < b.commandId ? -1 : 1));
    for (const item of this.items) if (!item.stored && !item.taken) this.keep(item);
    this.changed();
    this.kick();
  }

  /** Resolves with the reply, rejects with the first refusal; the item itself may then be retried or removed. */
  add(command: Command): Promise<Reply> {
    const known = this.find(command.commandId);
    if (known) return Promise.reject(new Error("this command is already in the outbox"));
    const item = fresh(command, this.ports.now());
    this.keep(item);
    this.items.push(item);
    const reply = new Promise<Reply>((resolve, reject) => {
      this.waiters.set(item.commandId, { resolve, reject });
    });
    this.pump(item.conv);
    this.changed();
    return reply;
  }

  list(conv: string): OutboxItem[] {
    return this.items.filter((item) => item.conv === conv && !item.hidden).map(shown);
  }

  on(cb: () => void): () => void {
    this.listeners.add(cb);
    return () => this.listeners.delete(cb);
  }

  retry(id: string): void {
    const item = this.find(id);
    if (item?.state !== "failed") return;
    Object.assign(item, { state: "waiting", refusal: null, failures: 0, wanted: true });
    this.changed();
    this.pump(item.conv);
  }

  remove(id: string): void {
    const item = this.find(id);
    if (!item || this.isBusy(item)) return;
    this.forget(item);
    this.settle(item, (waiter) => waiter.reject(new Error("removed from the outbox")));
    this.changed();
    this.pump(item.conv);
  }

  /** Its event was seen. */
  confirm(commandId: string): void {
    const item = this.find(commandId);
    if (!item || item.hidden) return;
    item.hidden = true;
    this.unkeep(item);
    if (item.taken) this.forget(item);
    this.changed();
  }

  /** This stream was folded up to here: what the server took below it has been seen. */
  seen(stream: string, place: Place): void {
    const gone = this.items.filter((item) => item.taken && isPast(item.taken, stream, place));
    for (const item of gone) this.forget(item);
    if (gone.length) this.changed();
  }

  /** Nobody looks at this conversation any more: its next snapshot will hold what was taken. */
  left(conv: string): void {
    const gone = this.items.filter((item) => item.conv === conv && item.taken);
    for (const item of gone) this.forget(item);
    if (gone.length) this.changed();
  }

  /** Another tab has taken it off the device: it was sent or removed there. */
  storeChanged(key: string, value: string | null): void {
    const item = value === null ? this.items.find((each) => each.stored === key) : undefined;
    if (!item || this.isBusy(item) || item.taken) return;
    this.forget(item);
    this.changed();
  }

  /** While stopped nothing goes out; all is kept. */
  pause(paused: boolean): void {
    this.paused = paused;
    if (!paused) this.kick();
  }

  /** The way may be free again: try at once. */
  kick(): void {
    for (const conv of new Set(this.items.map((item) => item.conv))) {
      this.timers.get(conv)?.();
      this.timers.delete(conv);
      this.pump(conv);
    }
  }

  close(): void {
    this.paused = true;
    for (const cancel of this.timers.values()) cancel();
    this.timers.clear();
  }

  // --- sending ------------------------------------------------------------------------------------------

  private pump(conv: string): void {
    if (this.paused || this.busy.has(conv) || this.timers.has(conv)) return;
    const item = this.items.find((each) => each.conv === conv && isOpen(each));
    if (!item) return;
    if (!item.wanted && this.ports.now() - item.at > OLD_MS) {
      this.fail(item, null);
      return this.pump(conv);
    }
    this.busy.add(conv);
    item.state = "sending";
    const { commandId, name, args } = item;
    this.ports.send({ commandId, conv, name, args }).then(
      (reply) => this.done(conv, item, () => this.taken(item, reply)),
      (error) => this.done(conv, item, () => this.refused(conv, item, error)),
    );
  }

  private done(conv: string, item: Kept, act: () => void): void {
    this.busy.delete(conv);
    if (this.items.includes(item)) act();
    this.changed();
    this.pump(conv);
  }

  private taken(item: Kept, reply: Reply): void {
    item.taken = reply.positions;
    this.unkeep(item);
    const opened = item.conv === NEW ? reply.result?.conv_id : undefined;
    if (typeof opened === "string") item.conv = opened;
    else if (item.hidden || !this.ports.follows(item.conv)) this.forget(item);
    this.settle(item, (waiter) => waiter.resolve(reply));
  }

  private refused(conv: string, item: Kept, error: unknown): void {
    const login = error instanceof Refusal && error.retry === "after_login";
    if (!login && !isTransient(error)) {
      if (item.hidden) this.forget(item);
      return this.fail(item, error);
    }
    item.state = "waiting";
    item.failures += 1;
    const ms = retryDelay(item.failures, error, this.ports.dice);
    const cancel = this.ports.later(() => {
      this.timers.delete(conv);
      this.pump(conv);
      this.changed();
    }, ms);
    this.timers.set(conv, cancel);
  }

  private fail(item: Kept, error: unknown): void {
    item.state = "failed";
    item.refusal = error instanceof Refusal ? error.body : null;
    this.settle(item, (waiter) => waiter.reject(error));
  }

  private settle(item: Kept, tell: (waiter: Waiter) => void): void {
    const waiter = this.waiters.get(item.commandId);
    this.waiters.delete(item.commandId);
    if (waiter) tell(waiter);
  }

  // --- the device ---------------------------------------------------------------------------------------

  private prefix(): string {
    return `${PREFIX}${this.ports.realm}:${this.person}:`;
  }

  private keep(item: Kept): void {
    if (this.person === null) return;
    const { commandId, conv, name, args, at } = item;
    item.stored = `${this.prefix()}${conv}:${commandId}`;
    this.ports.store.set(item.stored, JSON.stringify({ commandId, conv, name, args, at }));
  }

  private unkeep(item: Kept): void {
    if (item.stored) this.ports.store.remove(item.stored);
    item.stored = null;
  }

  private load(key: string): void {
    try {
      const { commandId, conv, name, args, at } = JSON.parse(this.ports.store.get(key) ?? "");
      if (typeof commandId !== "string" || typeof conv !== "string") throw new Error("not ours");
      if (this.find(commandId)) return;
      this.items.push({ ...fresh({ commandId, conv, name, args }, Number(at)), stored: key });
    } catch {
      this.ports.store.remove(key);
    }
  }

  private forget(item: Kept): void {
    this.unkeep(item);
    this.items = this.items.filter((each) => each !== item);
  }

  private find(id: string): Kept | undefined {
    return this.items.find((item) => item.commandId === id);
  }

  private isBusy(item: Kept): boolean {
    return item.state === "sending" && !item.taken;
  }

  private changed(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

function fresh(command: Command, at: number): Kept {
  const own = { state: "waiting", refusal: null, failures: 0, wanted: false } as const;
  return { ...command, ...own, at, hidden: false, taken: null, stored: null };
}

/** Still has to go out. A hidden one too: who asked waits for its reply. */
const isOpen = (item: Kept) => !item.taken && item.state !== "failed";

function shown({ commandId, conv, name, args, at, state, refusal }: Kept): OutboxItem {
  return { commandId, conv, name, args, at, state, refusal };
}

function isPast(taken: Positions, stream: string, [epoch, position]: Place): boolean {
  const place = stream.startsWith("conv:") ? taken[stream] : undefined;
  return place !== undefined && (place[0] !== epoch || place[1] <= position);
}
