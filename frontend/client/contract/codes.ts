/**
 * Close codes. GENERATED from src/deskwire/realtime/codes.py (TABLE, in its order), one line a row:
 * [code, name, again, wait, least_ms, most_ms]. Change that table, not this file.
 */
export type Again = "yes" | "renew" | "stop" | "self";
export type Wait = "backoff" | "told" | "range" | "never";
export type Row = readonly [
  code: number,
  name: string,
  again: Again,
  wait: Wait,
  least_ms: number,
  most_ms: number,
];

// biome-ignore format: one line a row
export const CODES: readonly Row[] = [
  [4000, "internal error", "yes", "backoff", 0, 0],
  [4001, "drain", "yes", "told", 0, 0],
  [4002, "slow", "yes", "backoff", 1000, 0],
  [4003, "silent", "yes", "range", 0, 1000],
  [4004, "connection unknown", "yes", "range", 0, 0],
  [4005, "login expired", "renew", "range", 0, 0],
  [4006, "too many frames", "yes", "backoff", 5000, 0],
  [4007, "state in doubt", "yes", "range", 0, 1000],
  [4008, "identify timeout", "yes", "backoff", 0, 0],
  [4009, "overloaded", "yes", "told", 0, 0],
  [4500, "not logged in", "stop", "never", 0, 0],
  [4501, "protocol error", "stop", "never", 0, 0],
  [4502, "version unsupported", "stop", "never", 0, 0],
  [4503, "denied", "stop", "never", 0, 0],
  [4504, "replaced", "stop", "never", 0, 0],
  [4505, "too many connections", "stop", "never", 0, 0],
  [4506, "kicked", "stop", "never", 0, 0],
  [4507, "logged out", "stop", "never", 0, 0],
  [1000, "normal", "self", "backoff", 0, 0],
  [1001, "going away", "self", "backoff", 0, 0],
  [1002, "bad frame", "stop", "never", 0, 0],
  [1003, "bad frame", "stop", "never", 0, 0],
  [1007, "bad frame", "stop", "never", 0, 0],
  [1009, "bad frame", "stop", "never", 0, 0],
  [1005, "infrastructure", "yes", "backoff", 0, 0],
  [1006, "infrastructure", "yes", "backoff", 0, 0],
  [1008, "infrastructure", "yes", "backoff", 0, 0],
  [1011, "infrastructure", "yes", "backoff", 0, 0],
  [1012, "infrastructure", "yes", "backoff", 0, 0],
  [1013, "infrastructure", "yes", "backoff", 0, 0],
  [1014, "infrastructure", "yes", "backoff", 0, 0],
  [1015, "infrastructure", "yes", "backoff", 0, 0],
];

/** The row of a code; one we do not know is classified by its range. */
export function meaning(code: number): Row {
  const row = CODES.find((each) => each[0] === code);
  if (row) return row;
  if (code >= 4500 && code <= 4999) return [code, "stop", "stop", "never", 0, 0];
  return [code, "come back", "yes", "backoff", 0, 0];
}
