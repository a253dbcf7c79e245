/**
 * Close codes. GENERATED from src/deskwire/realtime/codes.py (TABLE, in its order), one line a row:
 * [code, again, wait, least_ms, most_ms], // name. Change that table, not this file.
 */
export type Again = "yes" | "renew" | "stop" | "self";
export type Wait = "backoff" | "told" | "range" | "never";
export type Row = readonly [
  code: number,
  again: Again,
  wait: Wait,
  least_ms: number,
  most_ms: number,
];

// biome-ignore format: one line a row
export const CODES: readonly Row[] = [
  [4000, "yes", "backoff", 0, 0], // internal error
  [4001, "yes", "told", 0, 0], // drain
  [4002, "yes", "backoff", 1000, 0], // slow
  [4003, "yes", "range", 0, 1000], // silent
  [4004, "yes", "range", 0, 0], // connection unknown
  [4005, "renew", "range", 0, 0], // login expired
  [4006, "yes", "backoff", 5000, 0], // too many frames
  [4007, "yes", "range", 0, 1000], // state in doubt
  [4008, "yes", "backoff", 0, 0], // identify timeout
  [4009, "yes", "told", 0, 0], // overloaded
  [4500, "stop", "never", 0, 0], // not logged in
  [4501, "stop", "never", 0, 0], // protocol error
  [4502, "stop", "never", 0, 0], // version unsupported
  [4503, "stop", "never", 0, 0], // denied
  [4504, "stop", "never", 0, 0], // replaced
  [4505, "stop", "never", 0, 0], // too many connections
  [4506, "stop", "never", 0, 0], // kicked
  [4507, "stop", "never", 0, 0], // logged out
  [1000, "self", "backoff", 0, 0], // normal
  [1001, "self", "backoff", 0, 0], // going away
  [1002, "stop", "never", 0, 0], // bad frame
  [1003, "stop", "never", 0, 0], // bad frame
  [1007, "stop", "never", 0, 0], // bad frame
  [1009, "stop", "never", 0, 0], // bad frame
  [1005, "yes", "backoff", 0, 0], // infrastructure
  [1006, "yes", "backoff", 0, 0], // infrastructure
  [1008, "yes", "backoff", 0, 0], // infrastructure
  [1011, "yes", "backoff", 0, 0], // infrastructure
  [1012, "yes", "backoff", 0, 0], // infrastructure
  [1013, "yes", "backoff", 0, 0], // infrastructure
  [1014, "yes", "backoff", 0, 0], // infrastructure
  [1015, "yes", "backoff", 0, 0], // infrastructure
];

/** The row of a code; one we do not know is classified by its range. */
export function meaning(code: number): Row {
  const row = CODES.find((each) => each[0] === code);
  if (row) return row;
  if (code >= 4500 && code <= 4999) return [code, "stop", "never", 0, 0];
  return [code, "yes", "backoff", 0, 0];
}
