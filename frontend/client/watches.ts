/**
 * Several readers of one stream over one connection: a board, a list and an open conversation may watch the same one,
 * each from the place its own snapshot names. Pure. The connection stands at the lowest place; each reader takes
 * exactly what follows its own.
 */
import type { Ephemeral, From } from "./wire.ts";

export interface Reader {
  apply(stream: string, position: number, event: unknown): void;
  /** `news` null: look at all of them anew. */
  signs?: ((stream: string, all: Ephemeral[], news: Ephemeral | null) => void) | undefined;
  /** A new snapshot is needed (reset), or there is nothing to see any more (unwatched). */
  lost(stream: string, why: string, again: boolean): void;
}

interface Seat {
  reader: Reader;
  epoch: string | null;
  /** null: whatever comes next. */
  applied: number | null;
}

interface Standing {
  sign: Ephemeral;
  until: number | null;
}

interface Stream {
  seats: Seat[];
  signs: Map<string, Standing>;
}

export class Watches {
  private streams = new Map<string, Stream>();

  /** What the connection must be told: from where to watch, or undefined when its own place will do. */
  add(reader: Reader, stream: string, from: From, standing: From | undefined): From | undefined {
    const known = this.streams.get(stream) ?? { seats: [], signs: new Map() };
    this.streams.set(stream, known);
    known.seats = known.seats.filter((seat) => seat.reader !== reader);
    if (standing === undefined || standing === null) {
      known.seats.push(seatAt(reader, from));
      return from;
    }
    if (from === null) {
      known.seats.push(seatAt(reader, standing));
      return undefined;
    }
    known.seats.push(seatAt(reader, from));
    const covered = from[0] !== null && from[0] === standing[0] && from[1] >= standing[1];
    return covered ? undefined : from;
  }

  /** True: nobody watches the stream any more. */
  remove(reader: Reader, stream: string): boolean {
    const known = this.streams.get(stream);
    if (!known) return false;
    known.seats = known.seats.filter((seat) => seat.reader !== reader);
    if (known.seats.length) return false;
    return this.streams.delete(stream);
  }

  names(): string[] {
    return [...this.streams.keys()];
  }

  has(stream: string): boolean {
    return this.streams.has(stream);
  }

  /** Hands an event to those who stand right before it; `epoch` is the connection's. */
  apply(stream: string, epoch: string | null, position: number, event: unknown): void {
    for (const seat of [...this.seats(stream)]) {
      const strange = seat.epoch !== null && epoch !== null && seat.epoch !== epoch;
      const expected = seat.applied === null ? position : seat.applied + 1;
      if (strange || position > expected) {
        this.remove(seat.reader, stream);
        seat.reader.lost(stream, strange ? "epoch" : "gap", true);
      } else if (position === expected) {
        seat.applied = position;
        seat.epoch = epoch ?? seat.epoch;
        seat.reader.apply(stream, position, event);
      }
    }
  }

  /** Everyone must begin anew (`again`), or has nothing to see any more. */
  lose(stream: string, why: string, again: boolean): void {
    const seats = this.seats(stream);
    this.streams.delete(stream);
    for (const seat of seats) seat.reader.lost(stream, why, again);
  }

  replaceSigns(stream: string, signs: Ephemeral[], now: number): void {
    const known = this.streams.get(stream);
    if (!known) return;
    known.signs = new Map();
    for (const sign of signs) this.keep(known, sign, now);
    this.tell(stream, null);
  }

  sign(sign: Ephemeral, now: number): void {
    const known = this.streams.get(sign.stream);
    if (!known) return;
    this.keep(known, sign, now);
    this.tell(sign.stream, sign);
  }

  /** Signs end by themselves. */
  wake(now: number): void {
    for (const [stream, known] of this.streams) {
      let ended = false;
      for (const [key, { until }] of known.signs)
        if (until !== null && until <= now) ended = known.signs.delete(key);
      if (ended) this.tell(stream, null);
    }
  }

  get dueAt(): number | null {
    let due: number | null = null;
    for (const known of this.streams.values())
      for (const { until } of known.signs.values())
        if (until !== null && (due === null || until < due)) due = until;
    return due;
  }

  signs(stream: string): Ephemeral[] {
    return [...(this.streams.get(stream)?.signs.values() ?? [])].map(({ sign }) => sign);
  }

  private seats(stream: string): Seat[] {
    return this.streams.get(stream)?.seats ?? [];
  }

  private keep(known: Stream, sign: Ephemeral, now: number): void {
    const ttl = sign.ttl_ms ?? null;
    if (ttl !== null && ttl <= 0) known.signs.delete(sign.key);
    else known.signs.set(sign.key, { sign, until: ttl === null ? null : now + ttl });
  }

  private tell(stream: string, news: Ephemeral | null): void {
    const all = this.signs(stream);
    for (const seat of [...this.seats(stream)]) seat.reader.signs?.(stream, all, news);
  }
}

function seatAt(reader: Reader, from: From): Seat {
  if (from === null) return { reader, epoch: null, applied: null };
  return { reader, epoch: from[0], applied: from[0] === null ? null : from[1] };
}
