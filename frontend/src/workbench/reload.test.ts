import { expect, test } from "vitest";
import { mayReload } from "./reload";

function memory(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  } as unknown as Storage;
}

test("a page that is too old reloads once, not in a circle", () => {
  const storage = memory();

  expect(mayReload(storage, 1_000)).toBe(true);
  expect(mayReload(storage, 2_000)).toBe(false);
  expect(mayReload(storage, 1_000 + 600_000)).toBe(true);
});

test("without storage it does not reload by itself", () => {
  expect(mayReload(null, 1_000)).toBe(false);
});
