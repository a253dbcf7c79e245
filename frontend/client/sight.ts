/** One watched stream of one connection, as `Delivery` keeps it. Pure data. */
import type { From } from "./wire.ts";

export interface Sight {
  epoch: string | null;
  /** null: from now on, where that is the server will say. */
  applied: number | null;
  /** asked: a question is open, or will be with the next socket. */
  state: "asked" | "catching" | "live";
  /** -1: not yet, on this connection. */
  askedAt: number;
  /** What to do once the open question is answered. */
  next: "go" | "ask again" | "unwatch";
  ackDue: boolean;
  /** The highest head heard of, and since when nothing has been applied although it is higher. */
  head: number;
  behindSince: number;
  read: number;
  readDue: boolean;
  viewing: boolean;
  viewingAt: number;
  typingAt: number | null;
}

export function newSight(): Sight {
  return {
    epoch: null,
    applied: null,
    state: "asked",
    askedAt: -1,
    next: "go",
    ackDue: false,
    head: 0,
    behindSince: 0,
    read: 0,
    readDue: false,
    viewing: false,
    viewingAt: 0,
    typingAt: null,
  };
}

export function startOf(place: From): Pick<Sight, "epoch" | "applied"> {
  return place === null ? { epoch: null, applied: null } : { epoch: place[0], applied: place[1] };
}

export function placeOf(sight: Sight): From {
  if (sight.applied === null) return null;
  return sight.epoch === null ? [null, 0] : [sight.epoch, sight.applied];
}

export function isBehind(sight: Sight): boolean {
  return sight.head > (sight.applied ?? 0);
}
