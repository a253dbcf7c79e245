import { expect, test } from "vitest";
import { nextTick } from "vue";
import { DEFAULTS, openSettings, parseSettings } from "./settings";

function memory(first?: string): Storage {
  const kept = new Map<string, string>(
    first === undefined ? [] : [["deskwire:workbench:settings", first]],
  );
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  } as unknown as Storage;
}

test("what was never set has its default", () => {
  expect(parseSettings(null)).toEqual(DEFAULTS);
});

test("spoilt or unknown values fall back, one by one", () => {
  expect(parseSettings("{not json")).toEqual(DEFAULTS);
  expect(parseSettings("[]")).toEqual(DEFAULTS);
  expect(parseSettings("null")).toEqual(DEFAULTS);
  expect(parseSettings('{"language":"fr","theme":"dark","letters":"no"}')).toEqual({
    ...DEFAULTS,
    theme: "dark",
  });
});

test("a change is kept and read again", async () => {
  const storage = memory();
  const settings = openSettings(storage);

  settings.language = "en";
  settings.letters = false;
  await nextTick();

  expect(openSettings(storage)).toMatchObject({ language: "en", letters: false, theme: "auto" });
});

test("a browser that forbids storage still has settings", async () => {
  const broken = {
    getItem: () => {
      throw new Error("forbidden");
    },
    setItem: () => {
      throw new Error("full");
    },
  } as unknown as Storage;

  const settings = openSettings(broken);
  settings.theme = "dark";
  await nextTick();

  expect(settings.theme).toBe("dark");
});
