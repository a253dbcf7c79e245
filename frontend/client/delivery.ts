/**
 * One connection to the desk, seen from the page: what is watched, how far it was applied, when to come back.
 *
 * Frames, facts and `now` go in; what to send, apply and load, and `dueAt`, when `wake` must come, go out.
 * Pure: no socket, clock, dice or storage; it knows no person and no desk. `now` is milliseconds that never go back.
 * Invariants: of one stream the positions applied are applied + 1, + 2, …; at most one question per stream is open, so
 * each answer has its question; nothing is acknowledged above what the server has sent since its last `watched`.
 */
import { Comeback, type Plan } from "./comeback.ts";
import { isBehind, newSight, placeOf, type Sight, startOf } from "./sight.ts";
import type { Ephemeral, From } from "./wire.ts";

export type Frame = { op: string } & Record<string, unknown>;

export type Out =
  /** Open a socket; `anew`: as a new tab, for another holds the old one's place. */
  | { do: "open"; anew: boolean }
  | { do: "send"; frame: Frame }
  /** Close the socket with this code and hear it no more. */
  | { do: "drop"; code: number }
  /** The socket never opened: ask POST /me why, then `answered`. */
  | { do: "ask" }
  /** Get a new login, then `renewed`. `why` null: the present one is about to end; nothing waits for it. */
  | { do: "login"; why: number | null }
  | { do: "apply"; stream: string; position: number; event: unknown }
  /** Replaces all signs of the stream. */
  | { do: "signs"; stream: string; signs: Ephemeral[] }
  | { do: "sign"; sign: Ephemeral }
  /** My own read mark went out. The server does not send it back to the connection it came from. */
  | { do: "marked"; stream: string; read: number }
  /** Cannot be resumed: take a snapshot and watch from it. Nothing more comes until then. */
  | { do: "load"; stream: string; why: string }
  /** No longer ours to watch. */
  | { do: "gone"; stream: string; why: string }
  /** The server's clock, Unix ms. */
  | { do: "clock"; now: number }
  /** The server complains. */
  | { do: "complaint"; code: string; about: string };

export type Kind =
  | "connecting"
  | "live"
  | "reconnecting"
  | "catching_up"
  | "offline"
  | "doubtful"
  | "stopped";

export interface State {
  kind: Kind;
  code: number | null;
  retryAt: number | null;
}

export const PROTOCOL = 1;
export const ACK_MS = 200;
export const ACK_EVENTS = 32;
const ACK_SIZE = 65_536;
const OPENING_MS = 10_000;
const BYE_MS = 2_000;
const ANSWER_MS = 20_000;
const PROBE_MS = 3_000;
const BEHIND_MS = 5_000;
const SLEPT_MS = 15_000;
const SOON_MS = 1_000;
const TYPING_MS = 3_000;
const VIEWING_MS = 20_000;
/** Until `hello` names another bound. */
const WATCHES = 200;
/** Frames kept back from acks by count, for what a person does. */
const RESERVE = 10;

type Phase =
  | { is: "new" | "asking" | "open" | "closed" }
  | { is: "opening" | "greeting"; until: number }
  | { is: "leaving"; until: number; code: number; retry: [number, number] | null }
  | { is: "waiting"; until: number; notBefore: number }
  | { is: "renewing"; why: number }
  | { is: "stopped"; code: number };

/** A command's reply named this place; it has to come by the socket too. */
interface Expected {
  epoch: string;
  position: number;
  since: number;
  doubtful: boolean;
}

export class Delivery {
  private phase: Phase = { is: "new" };
  private sights = new Map<string, Sight>();
  private expected = new Map<string, Expected>();
  private out: Out[] = [];
  private failed = false;
  private code: number | null = null;
  private online = true;
  private visible = true;
  private touchedAt = 0;
  private heardAt = 0;
  private helloAt: number | null = null;
  private silence = 35_000;
  private probe: { n: number; until: number } | null = null;
  private probes = 0;
  private ackAt: number | null = null;
  private ackedAt = Number.NEGATIVE_INFINITY;
  private unacked = 0;
  private unackedSize = 0;
  private ackEvery = 0;
  private ackEvents = ACK_EVENTS;
  private ackSize = ACK_SIZE;
  private most = WATCHES;
  private rate = 20;
  private tokens = 40;
  private tokensAt = 0;
  private readonly client: string;
  private readonly dice: () => number;
  private readonly comeback: Comeback;

  /** `dice` gives numbers in [0, 1). */
  constructor(client: string, dice: () => number) {
    this.client = client.slice(0, 64);
    this.dice = dice;
    this.comeback = new Comeback(dice);
  }

  // --- what the page wants ---------------------------------------------------------------------

  start(now: number): Out[] {
    return this.step(now, () => {
      if (this.phase.is === "new") this.open(false);
    });
  }

  /** Watch these, or again from another place. One too many is `gone` at once. */
  watch(places: Record<string, From>, now: number): Out[] {
    return this.step(now, () => {
      const ask: string[] = [];
      for (const stream of Object.keys(places)) {
        const place = places[stream] ?? null;
        const before = this.sights.get(stream);
        if (!before && this.sights.size >= this.most) {
          this.out.push({ do: "gone", stream, why: "too_many_watches" });
          continue;
        }
        const waits = before?.state === "asked" && this.greeted;
        const sight = { ...(before ?? newSight()), ...startOf(place) };
        this.sights.set(stream, sight);
        this.meet(stream, sight);
        sight.next = waits ? "ask again" : "go";
        if (!waits) ask.push(stream);
      }
      this.askFor(ask);
    });
  }

  unwatch(streams: string[], now: number): Out[] {
    return this.step(now, () => {
      const told: string[] = [];
      for (const stream of streams) {
        const sight = this.sights.get(stream);
        this.expected.delete(stream);
        if (sight?.state === "asked" && this.greeted) sight.next = "unwatch";
        else if (this.sights.delete(stream)) told.push(stream);
      }
      if (told.length && this.greeted) this.send({ op: "unwatch", streams: told });
    });
  }

  /** Read up to here. Held back while the page is hidden, and never above what was applied. */
  mark(stream: string, position: number, now: number): Out[] {
    return this.step(now, () => {
      const sight = this.sights.get(stream);
      if (!sight || sight.applied === null) return;
      const read = Math.min(position, sight.applied);
      if (read <= sight.read) return;
      sight.read = read;
      sight.readDue = true;
      this.flushBy(this.now + ACK_MS);
    });
  }

  typing(stream: string, on: boolean, now: number): Out[] {
    return this.step(now, () => {
      const sight = this.sights.get(stream);
      if (!sight || !this.watches(sight)) return;
      const since = sight.typingAt;
      if (on ? since !== null && now - since < TYPING_MS : since === null) return;
      sight.typingAt = on ? now : null;
      this.send({ op: "typing", stream, on });
    });
  }

  /** Said again every 20 s, and after each reconnect, until switched off. */
  viewing(stream: string, on: boolean, now: number): Out[] {
    return this.step(now, () => {
      const sight = this.sights.get(stream);
      if (!sight || sight.viewing === on) return;
      sight.viewing = on;
      if (this.watches(sight)) this.sendViewing(stream, sight);
    });
  }

  show(visible: boolean, now: number): Out[] {
    return this.step(now, () => {
      if (this.visible === visible) return;
      this.visible = visible;
      if (this.greeted) this.send({ op: "visibility", visible });
      this.flush();
      if (visible) this.nudge();
    });
  }

  /** The page came back (pageshow, focus): is the socket still one? */
  look(now: number): Out[] {
    return this.step(now, () => this.nudge());
  }

  net(online: boolean, now: number): Out[] {
    return this.step(now, () => {
      this.online = online;
      if (online || this.phase.is === "open") this.nudge();
    });
  }

  /** A command's reply named these places: they have to arrive here within 5 s. */
  expect(positions: Record<string, [string, number]>, now: number): Out[] {
    return this.step(now, () => {
      for (const stream of Object.keys(positions)) {
        const place = positions[stream];
        const sight = this.sights.get(stream);
        if (!place || !sight || sight.next === "unwatch") continue;
        const [epoch, position] = place;
        if (sight.epoch === epoch && position <= (sight.applied ?? 0)) continue;
        const before = this.expected.get(stream);
        if (before && before.epoch === epoch) before.position = Math.max(before.position, position);
        else this.expected.set(stream, { epoch, position, since: now, doubtful: false });
      }
    });
  }

  /** 立即重试; after a stop, 在此使用. */
  retry(now: number): Out[] {
    return this.step(now, () => {
      const stopped = this.phase.is === "stopped" ? this.phase.code : 0;
      if (!stopped && this.phase.is !== "waiting") return;
      this.comeback.greeted();
      this.open(stopped === 4504 || stopped === 4505);
    });
  }

  close(now: number): Out[] {
    return this.step(now, () => {
      if (this.greeted) this.flush();
      if (this.hasSocket) this.out.push({ do: "drop", code: 1000 });
      this.phase = { is: "closed" };
    });
  }

  // --- what the world answers --------------------------------------------------------------------

  opened(who: { device: string; tab: string }, now: number): Out[] {
    return this.step(now, () => {
      if (this.phase.is !== "opening") return;
      this.phase = { is: "greeting", until: now + OPENING_MS };
      this.heardAt = now;
      this.tokens = 2 * this.rate;
      const watch: Record<string, From> = {};
      for (const [stream, sight] of this.sights) {
        watch[stream] = placeOf(sight);
        sight.askedAt = now;
      }
      const { client, visible } = this;
      this.send({ op: "identify", protocol: PROTOCOL, client, ...who, visible, watch });
    });
  }

  /** One message of the socket: frames, joined by newlines. */
  receive(text: string, now: number): Out[] {
    return this.step(now, () => {
      this.heardAt = now;
      for (const line of text.split("\n")) {
        if (!this.hasSocket) return;
        const frame = parse(line);
        if (frame) this.hear(frame, line.length);
        else return this.cut(4007);
      }
    });
  }

  lost(code: number, now: number): Out[] {
    return this.step(now, () => {
      const phase = this.phase;
      if (phase.is === "leaving") this.settle(phase.code, phase.retry);
      else if (phase.is === "opening") this.ask();
      else if (this.hasSocket) this.settle(code, null);
    });
  }

  /** POST /me has answered; status 0: it was not reached. */
  answered(status: number, retryAfterMs: number | null, now: number): Out[] {
    return this.step(now, () => {
      if (this.phase.is !== "asking") return;
      this.follow(this.comeback.afterAnswer(status, retryAfterMs ?? 0));
    });
  }

  renewed(ok: boolean, now: number): Out[] {
    return this.step(now, () => {
      if (this.phase.is !== "renewing") return;
      if (ok) this.open(false);
      else this.follow({ is: "stop", code: 4500 });
    });
  }

  /** Must be called at `dueAt`, may be called at any time. */
  wake(now: number): Out[] {
    const slept = now - this.touchedAt > SLEPT_MS;
    return this.step(now, () => {
      const phase = this.phase;
      if ("until" in phase && now >= phase.until) return this.overdue(phase);
      if (phase.is !== "open") return;
      // A page that slept has not yet heard what lies in its queue: ask before judging.
      if (slept) {
        this.heardAt = now;
        this.nudge();
      }
      if (this.probe && now >= this.probe.until) return this.cut(4003);
      if (now - this.heardAt >= this.silence) return this.cut(4003);
      if (!this.tendStreams()) return;
      if (this.ackAt !== null && now >= this.ackAt) this.flush();
    });
  }

  get dueAt(): number | null {
    const phase = this.phase;
    if ("until" in phase) return phase.until;
    if (phase.is !== "open") return null;
    let due = this.heardAt + this.silence;
    const at = (time: number) => {
      if (time < due) due = time;
    };
    if (this.probe) at(this.probe.until);
    if (this.ackAt !== null) at(this.ackAt);
    for (const sight of this.sights.values()) {
      if (sight.state === "asked") at(sight.askedAt + ANSWER_MS);
      else if (isBehind(sight)) at(sight.behindSince + BEHIND_MS);
      if (sight.viewing && this.watches(sight)) at(sight.viewingAt + VIEWING_MS);
    }
    for (const expected of this.expected.values()) at(expected.since + BEHIND_MS);
    return due;
  }

  get state(): State {
    const { code, phase } = this;
    const retryAt = phase.is === "waiting" ? phase.until : null;
    return { kind: this.kind(), code: phase.is === "open" ? null : code, retryAt };
  }

  /** Where the stream stands here; undefined when it is not watched. */
  place(stream: string): From | undefined {
    const sight = this.sights.get(stream);
    return sight && sight.next !== "unwatch" ? placeOf(sight) : undefined;
  }

  // --- frames --------------------------------------------------------------------------------------

  private hear(frame: any, size: number): void {
    if (this.phase.is === "leaving") return;
    if (frame.op === "hello") return this.hello(frame);
    if (frame.op === "bye") return this.bye(frame);
    if (this.phase.is !== "open") return;
    switch (frame.op) {
      case "event":
        return this.event(frame, size);
      case "ephemeral":
        return this.ephemeral(frame);
      case "watched":
        return this.watched(frame);
      case "live":
        return this.live(frame);
      case "reset":
        return this.forget(frame.stream, { do: "load", stream: frame.stream, why: frame.why });
      case "unwatched":
        return this.forget(frame.stream, { do: "gone", stream: frame.stream, why: frame.why });
      case "ping":
        this.out.push({ do: "clock", now: frame.now });
        this.heads(frame.heads);
        return this.send({ op: "pong", positions: this.takeAcks() });
      case "alive":
        return this.alive(frame);
      case "login":
        if (frame.renew) this.out.push({ do: "login", why: null });
        return;
      case "error":
        return this.complaint(frame);
    }
  }

  private hello(frame: any): void {
    if (this.phase.is !== "greeting") return;
    this.phase = { is: "open" };
    this.helloAt = this.now;
    this.code = null;
    this.failed = false;
    this.comeback.greeted();
    this.silence = frame.silence_ms ?? this.silence;
    this.rate = frame.limits?.frames_per_s ?? this.rate;
    this.ackEvery = frame.limits?.ack_ms ?? 0;
    this.ackEvents = frame.limits?.ack_events ?? ACK_EVENTS;
    this.ackSize = frame.limits?.ack_bytes ?? ACK_SIZE;
    this.out.push({ do: "clock", now: frame.now });
    for (const sight of this.sights.values()) sight.askedAt = this.now;
    for (const expected of this.expected.values()) {
      expected.since = this.now;
      expected.doubtful = false;
    }
    this.keepWithin(frame.limits?.watches ?? this.most);
  }

  /** `identify` named more than this server takes, so it has taken none of them. */
  private keepWithin(watches: number): void {
    this.most = watches;
    if (this.sights.size <= watches) return;
    const wanted = [...this.sights].filter(([, sight]) => sight.next !== "unwatch");
    this.sights = new Map(wanted.slice(0, watches));
    for (const [stream] of wanted.slice(watches)) {
      this.expected.delete(stream);
      this.out.push({ do: "gone", stream, why: "too_many_watches" });
    }
    for (const sight of this.sights.values()) sight.askedAt = -1;
    this.askFor([...this.sights.keys()]);
  }

  private bye(frame: any): void {
    const retry = Array.isArray(frame.retry_ms) ? frame.retry_ms : null;
    this.phase = { is: "leaving", until: this.now + BYE_MS, code: frame.code, retry };
  }

  private watched(frame: any): void {
    const sight = this.sights.get(frame.stream);
    if (sight?.state !== "asked") return;
    if (sight.next !== "go") return this.resume(frame.stream, sight);
    const same = sight.epoch === null || sight.epoch === frame.epoch;
    const here = sight.epoch === null || sight.applied === frame.position;
    if (!same || !here) {
      this.send({ op: "unwatch", streams: [frame.stream] });
      return this.forget(frame.stream, { do: "load", stream: frame.stream, why: "epoch" });
    }
    sight.epoch = frame.epoch;
    sight.applied = frame.position;
    sight.state = "catching";
    sight.head = frame.head;
    sight.behindSince = this.now;
    this.meet(frame.stream, sight);
  }

  /** The answer was to a question that has been overtaken. */
  private resume(stream: string, sight: Sight): void {
    if (sight.next === "ask again") return this.askFor([stream]);
    this.sights.delete(stream);
    this.send({ op: "unwatch", streams: [stream] });
  }

  private event(frame: any, size: number): void {
    const sight = this.sights.get(frame.stream);
    if (!sight || !this.watches(sight) || sight.applied === null) return;
    const n: number = frame.position;
    if (n > sight.applied + 1) return this.askFor([frame.stream]);
    if (n === sight.applied + 1) {
      sight.applied = n;
      sight.behindSince = this.now;
      this.out.push({ do: "apply", stream: frame.stream, position: n, event: frame.event });
      this.meet(frame.stream, sight);
    }
    sight.ackDue = true;
    this.unacked += 1;
    this.unackedSize += size;
    this.flushBy(this.ackDue);
    if (this.unacked < this.ackEvents && this.unackedSize < this.ackSize) return;
    if (this.tokensLeft() > RESERVE) this.flush();
    else this.flushBy(this.now + ACK_MS);
  }

  private live(frame: any): void {
    const stream: string = frame.stream;
    const sight = this.sights.get(stream);
    if (!sight || !this.watches(sight) || sight.applied === null) return;
    if (frame.position > sight.applied) return this.askFor([stream]);
    sight.state = "live";
    const signs = (frame.signs ?? []).map((sign: object) => ({ ...sign, stream }));
    this.out.push({ do: "signs", stream, signs });
    if (sight.read > 0) {
      sight.readDue = true;
      this.flushBy(this.now + ACK_MS);
    }
    if (sight.viewing) this.sendViewing(stream, sight);
  }

  private ephemeral(frame: any): void {
    const { op: _, ...sign } = frame;
    const sight = this.sights.get(sign.stream);
    if ((sight && this.watches(sight)) || sign.type === "plain")
      this.out.push({ do: "sign", sign });
  }

  private forget(stream: string, why: Out): void {
    const sight = this.sights.get(stream);
    if (!sight) return;
    if (sight.state === "asked" && sight.next === "ask again") return this.askFor([stream]);
    this.sights.delete(stream);
    this.expected.delete(stream);
    if (sight.next !== "unwatch") this.out.push(why);
  }

  private heads(heads: Record<string, number> | undefined): void {
    for (const stream of Object.keys(heads ?? {})) {
      const sight = this.sights.get(stream);
      const head = heads?.[stream] ?? 0;
      if (!sight || head <= sight.head) continue;
      if (!isBehind(sight)) sight.behindSince = this.now;
      sight.head = head;
    }
  }

  private alive(frame: any): void {
    if (frame.n !== this.probe?.n) return;
    this.probe = null;
    this.heads(frame.heads);
    const lacking = [...this.expected].filter(([, expected]) => expected.doubtful);
    for (const [, expected] of lacking) expected.since = this.now;
    this.askFor(lacking.map(([stream]) => stream));
  }

  private complaint(frame: any): void {
    this.out.push({ do: "complaint", code: frame.code, about: frame.about });
    if (frame.code === "too_fast") this.tokens = 0;
    if (frame.about === "watch" && frame.stream)
      this.forget(frame.stream, { do: "gone", stream: frame.stream, why: frame.code });
  }

  // --- streams ---------------------------------------------------------------------------------------

  /** Asks to watch from where each stands; without a socket `identify` will. */
  private askFor(streams: string[]): void {
    const watch: Record<string, From> = {};
    for (const stream of streams) {
      const sight = this.sights.get(stream);
      if (!sight) continue;
      const open = sight.state === "asked" && sight.askedAt >= 0;
      if (open && sight.next !== "ask again") continue;
      watch[stream] = placeOf(sight);
      sight.state = "asked";
      sight.next = "go";
      sight.askedAt = this.greeted ? this.now : -1;
      sight.ackDue = false;
      sight.typingAt = null;
    }
    if (this.greeted && Object.keys(watch).length) this.send({ op: "watch", watch });
  }

  /** False: the socket was cut. */
  private tendStreams(): boolean {
    const again: string[] = [];
    for (const [stream, sight] of this.sights) {
      if (sight.state === "asked") {
        if (this.now - sight.askedAt < ANSWER_MS) continue;
        this.cut(4007);
        return false;
      }
      if (isBehind(sight) && this.now - sight.behindSince >= BEHIND_MS) again.push(stream);
      if (sight.viewing && this.now - sight.viewingAt >= VIEWING_MS)
        this.sendViewing(stream, sight);
    }
    this.askFor(again);
    return this.tendExpected();
  }

  private tendExpected(): boolean {
    let doubt = false;
    for (const expected of this.expected.values()) {
      if (this.now - expected.since < BEHIND_MS) continue;
      if (expected.doubtful) {
        // Asked, alive, watched again, and still not here: a new connection, and no more of it.
        this.expected.clear();
        this.cut(4007);
        return false;
      }
      expected.doubtful = true;
      expected.since = this.now;
      doubt = true;
    }
    if (doubt) this.sendProbe();
    return true;
  }

  /** What was expected of this stream may be here now. */
  private meet(stream: string, sight: Sight): void {
    const expected = this.expected.get(stream);
    if (expected?.epoch === sight.epoch && expected.position <= (sight.applied ?? 0))
      this.expected.delete(stream);
  }

  private sendViewing(stream: string, sight: Sight): void {
    sight.viewingAt = this.now;
    this.send({ op: "viewing", stream, on: sight.viewing });
  }

  /** The first event after a pause is acknowledged soon; while they come, as often as the server asks. */
  private get ackDue(): number {
    return Math.max(this.now + ACK_MS, this.ackedAt + this.ackEvery);
  }

  private flushBy(at: number): void {
    this.ackAt = Math.min(this.ackAt ?? at, at);
  }

  private flush(): void {
    this.ackAt = null;
    if (!this.greeted) return;
    const positions = this.takeAcks();
    if (Object.keys(positions).length) this.send({ op: "ack", positions });
    if (!this.visible) return;
    for (const [stream, sight] of this.sights) {
      if (!sight.readDue || !this.watches(sight)) continue;
      sight.readDue = false;
      this.send({ op: "mark", stream, read: sight.read });
      this.out.push({ do: "marked", stream, read: sight.read });
    }
  }

  private takeAcks(): Record<string, number> {
    const positions: Record<string, number> = {};
    for (const [stream, sight] of this.sights) {
      if (!sight.ackDue || !this.watches(sight) || sight.applied === null) continue;
      sight.ackDue = false;
      positions[stream] = sight.applied;
    }
    if (this.unacked > 0) this.ackedAt = this.now;
    this.unacked = this.unackedSize = 0;
    return positions;
  }

  /** A watch the server has confirmed on this connection. */
  private watches(sight: Sight): boolean {
    return this.phase.is === "open" && sight.state !== "asked";
  }

  // --- the socket --------------------------------------------------------------------------------------

  private nudge(): void {
    const phase = this.phase;
    if (phase.is === "open") return this.sendProbe();
    if (phase.is !== "waiting") return;
    const soon = this.now + this.dice() * SOON_MS;
    phase.until = Math.max(phase.notBefore, Math.min(phase.until, soon));
  }

  private sendProbe(): void {
    if (this.probe) return;
    this.probe = { n: ++this.probes, until: this.now + PROBE_MS };
    this.send({ op: "probe", n: this.probe.n, positions: this.takeAcks() });
  }

  private open(anew: boolean): void {
    this.phase = { is: "opening", until: this.now + OPENING_MS };
    this.out.push({ do: "open", anew });
  }

  private overdue(phase: Phase): void {
    if (phase.is === "waiting") return this.open(false);
    this.out.push({ do: "drop", code: 1000 });
    if (phase.is === "opening") this.ask();
    else if (phase.is === "leaving") this.settle(phase.code, phase.retry);
    else this.settle(1006, null);
  }

  /** We give this socket up ourselves. */
  private cut(code: number): void {
    this.out.push({ do: "drop", code: 1000 });
    this.settle(code, null);
  }

  private ask(): void {
    this.forgetConnection();
    this.code = 1006;
    this.phase = { is: "asking" };
    this.out.push({ do: "ask" });
  }

  /** The connection is over: what now? `code` from `bye` where there was one, else from the close. */
  private settle(code: number, retry: [number, number] | null): void {
    this.forgetConnection();
    this.code = code;
    this.follow(this.comeback.after(code, retry));
  }

  private follow(plan: Plan): void {
    if (plan.is === "wait") {
      const notBefore = this.now + plan.leastMs;
      this.phase = { is: "waiting", until: notBefore + plan.moreMs, notBefore };
    } else if (plan.is === "renew") {
      this.code = plan.why;
      this.phase = { is: "renewing", why: plan.why };
      this.out.push({ do: "login", why: plan.why });
    } else {
      this.code = plan.code;
      this.phase = { is: "stopped", code: plan.code };
    }
  }

  private forgetConnection(): void {
    if (this.helloAt !== null) this.comeback.lived(this.now - this.helloAt);
    this.helloAt = null;
    this.failed = true;
    this.probe = null;
    this.ackAt = null;
    this.ackedAt = Number.NEGATIVE_INFINITY;
    this.unacked = this.unackedSize = 0;
    for (const [stream, sight] of this.sights) {
      if (sight.next === "unwatch") this.sights.delete(stream);
      sight.state = "asked";
      sight.askedAt = -1;
      sight.next = "go";
      sight.ackDue = false;
      sight.typingAt = null;
    }
  }

  // --- the frame of a step ----------------------------------------------------------------------------

  private now = 0;

  private step(now: number, act: () => void): Out[] {
    this.now = Math.max(this.now, now);
    this.touchedAt = this.now;
    if (this.phase.is !== "closed") act();
    const out = this.out;
    this.out = [];
    return out;
  }

  private get greeted(): boolean {
    return this.phase.is === "greeting" || this.phase.is === "open";
  }

  private get hasSocket(): boolean {
    return this.greeted || this.phase.is === "opening" || this.phase.is === "leaving";
  }

  private send(frame: Frame): void {
    this.tokens = this.tokensLeft() - 1;
    this.tokensAt = this.now;
    this.out.push({ do: "send", frame });
  }

  private tokensLeft(): number {
    const earned = ((this.now - this.tokensAt) * this.rate) / 1000;
    return Math.min(2 * this.rate, this.tokens + earned);
  }

  private kind(): Kind {
    const phase = this.phase;
    if (phase.is === "stopped" || phase.is === "closed") return "stopped";
    if (phase.is === "renewing" && phase.why === 4500) return "stopped";
    if (phase.is === "open") return this.openKind();
    if (!this.online && this.failed) return "offline";
    return this.failed || phase.is === "leaving" ? "reconnecting" : "connecting";
  }

  private openKind(): Kind {
    for (const expected of this.expected.values()) if (expected.doubtful) return "doubtful";
    for (const sight of this.sights.values())
      if (sight.state !== "live" && sight.next !== "unwatch") return "catching_up";
    return "live";
  }
}

function parse(line: string): any {
  try {
    const frame = JSON.parse(line);
    return frame && typeof frame.op === "string" ? frame : null;
  } catch {
    return null;
  }
}
