/** The frames of desk.v1 as the client sees them. Unknown fields are ignored. */

/** A place in a stream. Positions of different epochs are never compared. */
export type Place = [epoch: string, position: number];
export type Positions = Record<string, Place>;

/** From where to watch: a place, `[null, 0]` from the first event one may see, null from now on. */
export type From = Place | [epoch: null, position: 0] | null;

export interface Written {
  stream: string;
  position: number;
  event: unknown;
}

/** A passing sign: no position, never kept; the newest per key counts. */
export interface Ephemeral {
  stream: string;
  type: string;
  key: string;
  ttl_ms?: number | null;
  data: any;
}
