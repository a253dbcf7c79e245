/**
 * The order of a list, and how it is held still while somebody points at it. Pure: rows and ids in, ids out.
 *
 * Invariant: while the list is held, no row that is shown changes its place or goes away. What sorts below
 * the last shown row moves nothing and is added at once; everything else waits behind the pill.
 */

export interface Sortable {
  conv_id: string;
  status: string;
  turn: "agent" | "employee";
  waiting_since: number | null;
  opened_at: number;
  last_message: { at: number } | null;
}

export type ListName = "mine" | "queue" | "all" | "closed";

const lastAt = (row: Sortable) => row.last_message?.at ?? row.opened_at;
const byId = (a: Sortable, b: Sortable) =>
  a.conv_id < b.conv_id ? -1 : a.conv_id > b.conv_id ? 1 : 0;

/** Whose turn it is, then who has waited longest; what waits for nobody follows, the newest first. */
function byTurn(a: Sortable, b: Sortable): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  if (a.waiting_since !== null && b.waiting_since !== null) {
    return a.waiting_since - b.waiting_since || byId(a, b);
  }
  return lastAt(b) - lastAt(a) || byId(a, b);
}

function rankOf(row: Sortable): number {
  if (row.status === "resolved" || row.status === "closed") return 2;
  return row.waiting_since !== null ? 0 : 1;
}

function byWait(a: Sortable, b: Sortable): number {
  const left = a.waiting_since ?? a.opened_at;
  const right = b.waiting_since ?? b.opened_at;
  return left - right || byId(a, b);
}

const byNewest = (a: Sortable, b: Sortable) => lastAt(b) - lastAt(a) || byId(a, b);

export function sortedIds(list: ListName, rows: Iterable<Sortable>): string[] {
  const compare = list === "queue" ? byWait : list === "closed" ? byNewest : byTurn;
  return [...rows].sort(compare).map((row) => row.conv_id);
}

export interface Held {
  shown: readonly string[];
  /** How many rows would come, go or change places if the list were let go. */
  pending: number;
}

/** The ids to show: the wanted ones when the list is free, else the shown ones and what may be added below. */
export function hold(shown: readonly string[], wanted: readonly string[], held: boolean): Held {
  if (!held || shown.length === 0) return { shown: wanted, pending: 0 };
  const next = [...shown, ...below(shown, wanted)];
  return { shown: next, pending: changes(next, wanted) };
}

/** The wanted ids that stand after the last shown one: adding them moves nothing. */
function below(shown: readonly string[], wanted: readonly string[]): readonly string[] {
  const known = new Set(shown);
  let last = wanted.length - 1;
  while (last >= 0 && !known.has(wanted[last] as string)) last -= 1;
  // Nobody shown is wanted any more: everything new waits, or it would be taken for the list's beginning.
  return last < 0 ? [] : wanted.slice(last + 1);
}

/** Rows that come + rows that go + the fewest rows that must move. */
export function changes(from: readonly string[], to: readonly string[]): number {
  const place = new Map(to.map((id, index) => [id, index]));
  const kept = from.flatMap((id) => place.get(id) ?? []);
  const gone = from.length - kept.length;
  const come = to.length - kept.length;
  return gone + come + (kept.length - longestRise(kept));
}

/** Length of the longest rising subsequence: what may stay where it is. */
function longestRise(values: readonly number[]): number {
  const tails: number[] = [];
  for (const value of values) {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((tails[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    tails[low] = value;
  }
  return tails.length;
}

/** The neighbour of the chosen row, for J and K; without a chosen one the first, or the last. */
export function neighbour(
  ids: readonly string[],
  chosen: string | null,
  step: 1 | -1,
): string | null {
  if (ids.length === 0) return null;
  const at = chosen === null ? -1 : ids.indexOf(chosen);
  if (at < 0) return (step === 1 ? ids[0] : ids[ids.length - 1]) ?? null;
  return ids[Math.min(ids.length - 1, Math.max(0, at + step))] ?? null;
}

export interface Window {
  from: number;
  to: number;
}

const ROW_PX = 72;
const SPARE_ROWS = 12;
/** Rows in the document at most, however tall the pane is said to be. */
const ROWS_MAX = 60;

/** Which rows of `count` stand in the document when `top` px are scrolled away in a pane `height` px tall. */
export function windowOf(count: number, top: number, height: number): Window {
  const first = Math.floor(Math.max(0, top) / ROW_PX);
  const visible = Math.ceil(Math.max(0, height) / ROW_PX) + 1;
  const from = Math.max(0, Math.min(first - SPARE_ROWS, count - visible - SPARE_ROWS));
  const to = Math.min(count, from + Math.min(ROWS_MAX, visible + 2 * SPARE_ROWS));
  return { from, to };
}

export const rowPx = ROW_PX;
