/** A page too old for the server reloads by itself, but never in a circle: once in ten minutes and tab. */

const KEY = "deskwire:reloaded-at";
const AGAIN_AFTER_MS = 10 * 60_000;

/** True at most once per span; a tab without storage never reloads by itself, for it could not count. */
export function mayReload(storage: Storage | null, now = Date.now()): boolean {
  try {
    if (!storage) return false;
    const last = Number(storage.getItem(KEY) ?? Number.NEGATIVE_INFINITY);
    if (now - last < AGAIN_AFTER_MS) return false;
    storage.setItem(KEY, String(now));
    return true;
  } catch {
    return false;
  }
}
