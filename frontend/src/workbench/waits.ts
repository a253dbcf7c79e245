/** How long somebody has waited, in figures, and how grave that is. Pure; `now` is the server's clock in Unix ms. */

export type WaitLevel = "calm" | "amber" | "red";

const AMBER_MS = 2 * 60_000;
const RED_MS = 5 * 60_000;

export function waitLevel(waitedMs: number): WaitLevel {
  if (waitedMs > RED_MS) return "red";
  if (waitedMs > AMBER_MS) return "amber";
  return "calm";
}

export type WaitUnit = "seconds" | "minutes" | "hours" | "days";

/** A wait in the two largest figures that matter: 42 s, 3 min, 2 h 5 min, 3 d 4 h. Never negative. */
export function waitFigures(waitedMs: number): readonly { unit: WaitUnit; value: number }[] {
  const seconds = Math.max(0, Math.floor(waitedMs / 1000));
  if (seconds < 60) return [{ unit: "seconds", value: seconds }];
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return [{ unit: "minutes", value: minutes }];
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return pair("hours", hours, "minutes", minutes % 60);
  return pair("days", Math.floor(hours / 24), "hours", hours % 24);
}

function pair(unit: WaitUnit, value: number, lesser: WaitUnit, rest: number) {
  const first = { unit, value };
  return rest === 0 ? [first] : [first, { unit: lesser, value: rest }];
}

/** The longest wait among those who wait, or null when nobody does. */
export function longestWait(waitingSince: Iterable<number | null>, now: number): number | null {
  let oldest: number | null = null;
  for (const since of waitingSince) {
    if (since !== null && (oldest === null || since < oldest)) oldest = since;
  }
  return oldest === null ? null : Math.max(0, now - oldest);
}
