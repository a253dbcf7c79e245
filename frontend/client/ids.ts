/** Random ids, on webviews too that lack crypto.randomUUID. */

function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  if (typeof crypto !== "undefined" && crypto.getRandomValues) return crypto.getRandomValues(bytes);
  for (let at = 0; at < count; at++) bytes[at] = Math.floor(Math.random() * 256);
  return bytes;
}

const hex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => (byte < 16 ? "0" : "") + byte.toString(16)).join("");

export function randomId(prefix: string): string {
  return prefix + hex(randomBytes(12));
}

let lastMs = 0;
let count = 0;

/** UUIDv7: sorts by the time it was made, and within one page by the order it was made in. */
export function commandId(now = Date.now()): string {
  if (now > lastMs) {
    lastMs = now;
    count = 0;
  } else if (++count > 0xfff) {
    lastMs += 1;
    count = 0;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  const bytes = randomBytes(8);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x80;
  const rest = hex(bytes);
  const order = count.toString(16).padStart(3, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${order}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}
