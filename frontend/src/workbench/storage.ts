/** The device's storage, or null where the browser forbids even to look at it. */
export function storageOfDevice(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
