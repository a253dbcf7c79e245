/**
 * The golden law, over a network that loses, doubles and swaps event frames, cuts sockets and restores streams: what
 * a page holds of a stream is a piece of it without hole or repeat, and in the end all of it.
 */
import { expect, test } from "vitest";
import { Delivery, type Out } from "./delivery.ts";
import { diceOf } from "./testing.ts";

const STREAMS = ["a", "b", "c"];
const STEPS = 400;
const SEEDS = 200;

interface Log {
  epoch: string;
  head: number;
}

interface Watched {
  state: "asked" | "behind" | "live";
  sent: number;
  answerAt: number;
  place: [string | null, number] | null;
}

/** One socket, with the server's side of the rules of §5. */
class Connection {
  up: any[] = [];
  down: any[] = [];
  open = false;
  watches = new Map<string, Watched>();
}

class World {
  now = 0;
  dice: () => number;
  delivery: Delivery;
  logs = new Map<string, Log>();
  connection: Connection | null = null;
  /** What the page holds: epoch, where its snapshot stood, and the positions since. */
  held = new Map<string, { epoch: string; from: number; positions: number[] }>();
  loading = new Map<string, number>();
  faults: string[] = [];
  calm = false;

  constructor(seed: number) {
    this.dice = diceOf(seed);
    this.delivery = new Delivery("test/1", this.dice);
    for (const stream of STREAMS) this.logs.set(stream, { epoch: "e0", head: this.roll(5) });
    for (const stream of STREAMS) this.load(stream);
    this.heed(this.delivery.start(0));
  }

  roll(sides: number): number {
    return Math.floor(this.dice() * sides);
  }

  log(stream: string): Log {
    return this.logs.get(stream) ?? { epoch: "", head: 0 };
  }

  // --- the page ---

  load(stream: string): void {
    const { epoch, head } = this.log(stream);
    this.held.set(stream, { epoch, from: head, positions: [] });
    this.heed(this.delivery.watch({ [stream]: [epoch, head] }, this.now));
  }

  heed(outs: Out[]): void {
    for (const out of outs) {
      if (out.do === "open") this.connection = new Connection();
      else if (out.do === "drop") this.connection = null;
      else if (out.do === "ask") this.loading.set("me", this.now + this.roll(500));
      else if (out.do === "send") this.connection?.up.push(out.frame);
      else if (out.do === "load") this.loading.set(out.stream, this.now + this.roll(500));
      else if (out.do === "apply") this.apply(out.stream, out.position);
    }
  }

  apply(stream: string, position: number): void {
    const held = this.held.get(stream);
    const last = held?.positions[held.positions.length - 1] ?? held?.from ?? -1;
    if (position !== last + 1) this.faults.push(`${stream}: ${position} after ${last}`);
    held?.positions.push(position);
  }

  answerLoads(): void {
    for (const [what, at] of [...this.loading]) {
      if (at > this.now) continue;
      this.loading.delete(what);
      if (what === "me") this.heed(this.delivery.answered(200, null, this.now));
      else this.load(what);
    }
  }

  // --- the server ---

  serve(): void {
    const connection = this.connection;
    if (!connection) return;
    if (!connection.open) {
      if (!this.calm && this.roll(10) === 0) return this.cut();
      connection.open = true;
      this.heed(this.delivery.opened({ device: "d-00000001", tab: "t-00000001" }, this.now));
    }
    while (connection.up.length && (this.calm || this.roll(3) > 0)) {
      this.take(connection, connection.up.shift());
      if (this.connection !== connection) return;
    }
    for (const [stream, watched] of connection.watches)
      if (watched.state === "behind") this.page(connection, stream, watched);
      else if (watched.state === "asked" && watched.answerAt <= this.now)
        this.answer(connection, stream, watched);
  }

  take(connection: Connection, frame: any): void {
    if (frame.op === "identify") {
      connection.down.push({ op: "hello", now: this.now, silence_ms: 35_000 });
      this.ask(connection, frame.watch);
    } else if (frame.op === "watch") this.ask(connection, frame.watch);
    else if (frame.op === "unwatch")
      for (const stream of frame.streams) connection.watches.delete(stream);
    else if (frame.op === "probe")
      connection.down.push({ op: "alive", n: frame.n, heads: this.heads() });
    for (const [stream, position] of Object.entries<number>(frame.positions ?? {})) {
      const watched = connection.watches.get(stream);
      if (watched && watched.state !== "asked" && position > watched.sent)
        this.faults.push(`${stream}: ack ${position} above ${watched.sent}`);
    }
  }

  ask(connection: Connection, watch: Record<string, Watched["place"]>): void {
    for (const stream of Object.keys(watch)) {
      const place = watch[stream] ?? null;
      const answerAt = this.now + this.roll(300);
      connection.watches.set(stream, { state: "asked", sent: 0, answerAt, place });
    }
  }

  answer(connection: Connection, stream: string, watched: Watched): void {
    const { epoch, head } = this.log(stream);
    const [asked, position] = watched.place ?? [epoch, head];
    if (asked !== epoch || position > head) {
      connection.watches.delete(stream);
      connection.down.push({ op: "reset", stream, epoch, head, why: "epoch" });
      return;
    }
    watched.state = "behind";
    watched.sent = position;
    connection.down.push({ op: "watched", stream, epoch, position, head });
  }

  /** A replay comes in pieces. */
  page(connection: Connection, stream: string, watched: Watched): void {
    const { head } = this.log(stream);
    for (let room = this.calm ? 100 : this.roll(4); room > 0 && watched.sent < head; room--)
      this.write(connection, stream, watched);
    if (watched.sent < head) return;
    watched.state = "live";
    connection.down.push({ op: "live", stream, position: head, signs: [] });
  }

  write(connection: Connection, stream: string, watched: Watched): void {
    watched.sent += 1;
    const frame = { op: "event", stream, position: watched.sent, event: {} };
    const fate = this.calm ? 9 : this.roll(20);
    if (fate === 0) return;
    connection.down.push(frame);
    if (fate === 1) connection.down.push(frame);
    const before = connection.down.length - 2;
    const previous = connection.down[before];
    if (fate === 2 && previous?.op === "event") {
      connection.down[before] = frame;
      connection.down[before + 1] = previous;
    }
  }

  append(stream: string): void {
    const log = this.log(stream);
    log.head += 1;
    const watched = this.connection?.watches.get(stream);
    if (this.connection && watched?.state === "live") this.write(this.connection, stream, watched);
  }

  restore(stream: string): void {
    const { epoch, head } = this.log(stream);
    const next = { epoch: `${epoch}'`, head: Math.max(0, head - this.roll(4)) };
    this.logs.set(stream, next);
    if (!this.connection?.watches.delete(stream)) return;
    this.connection.down.push({ op: "reset", stream, why: "epoch", ...next });
  }

  heads(): Record<string, number> {
    return Object.fromEntries([...this.logs].map(([stream, { head }]) => [stream, head]));
  }

  cut(): void {
    this.connection = null;
    this.heed(this.delivery.lost(1006, this.now));
  }

  // --- time ---

  deliver(): void {
    const connection = this.connection;
    while (connection && connection === this.connection && connection.down.length) {
      if (!this.calm && this.roll(4) === 0) return;
      const frames = connection.down.splice(0, 1 + this.roll(4));
      const text = frames.map((frame) => JSON.stringify(frame)).join("\n");
      this.heed(this.delivery.receive(text, this.now));
    }
  }

  step(): void {
    this.now += this.roll(400);
    const due = this.delivery.dueAt;
    if (due !== null && due <= this.now) this.heed(this.delivery.wake(this.now));
    this.answerLoads();
    this.serve();
    this.deliver();
    if (!this.calm) this.disturb();
  }

  disturb(): void {
    const stream = STREAMS[this.roll(STREAMS.length)] ?? "a";
    const fate = this.roll(40);
    if (fate < 20) this.append(stream);
    else if (fate === 20) this.cut();
    else if (fate === 21) this.restore(stream);
    else if (fate === 22) this.heed(this.delivery.look(this.now));
    else if (fate === 23) this.again(stream);
    else if (fate === 24) this.now += this.roll(60_000);
    else if (fate === 25) this.connection?.down.push({ op: "ping", now: 1, heads: this.heads() });
  }

  /** Another reader of this page needs the stream from further back. */
  again(stream: string): void {
    const held = this.held.get(stream);
    if (!held || this.loading.has(stream)) return;
    const back = this.roll(held.positions.length + 1);
    held.positions.length = back;
    const place: [string, number] = [held.epoch, held.from + back];
    if (this.dice() < 0.5) this.heed(this.delivery.unwatch([stream], this.now));
    this.heed(this.delivery.watch({ [stream]: place }, this.now));
  }

  settle(): void {
    this.calm = true;
    for (let step = 0; step < 400; step++) {
      this.step();
      if (step % 50 === 49) this.connection?.down.push({ op: "ping", now: 1, heads: this.heads() });
    }
  }
}

test.each(Array.from({ length: 10 }, (_, part) => part))("part %i of the seeds", (part) => {
  for (let seed = part; seed < SEEDS; seed += 10) {
    const world = new World(seed);
    for (let step = 0; step < STEPS; step++) world.step();
    world.settle();
    expect(world.faults, `seed ${seed}`).toEqual([]);
    for (const stream of STREAMS) {
      const { epoch, head } = world.log(stream);
      const held = world.held.get(stream);
      const end = (held?.from ?? 0) + (held?.positions.length ?? 0);
      expect([held?.epoch, end], `seed ${seed}, stream ${stream}`).toEqual([epoch, head]);
    }
    expect(world.delivery.state.kind, `seed ${seed}`).toBe("live");
  }
});
