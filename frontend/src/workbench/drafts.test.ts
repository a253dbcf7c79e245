import { describe, expect, test } from "vitest";
import { Drafts } from "./drafts";

const DAY = 86_400_000;

function memory(): Storage {
  const kept = new Map<string, string>();
  return {
    get length() {
      return kept.size;
    },
    key: (index: number) => [...kept.keys()][index] ?? null,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  } as unknown as Storage;
}

describe("drafts", () => {
  test("three conversations and two modes never mix", () => {
    const drafts = new Drafts(memory(), "lina", 0);

    for (const conv of ["a", "b", "c"]) {
      drafts.write({ conv, mode: "reply" }, `reply ${conv}`, 1);
      drafts.write({ conv, mode: "note" }, `note ${conv}`, 1);
    }

    for (const conv of ["a", "b", "c"]) {
      expect(drafts.read({ conv, mode: "reply" })).toBe(`reply ${conv}`);
      expect(drafts.read({ conv, mode: "note" })).toBe(`note ${conv}`);
    }
  });

  test("a reload finds them exactly as written, white space and all", () => {
    const storage = memory();
    const text = "  two\n\n lines \t";
    new Drafts(storage, "lina", 0).write({ conv: "a", mode: "reply" }, text, 5);

    expect(new Drafts(storage, "lina", 6).read({ conv: "a", mode: "reply" })).toBe(text);
  });

  test("another person on the same browser sees none of them", () => {
    const storage = memory();
    new Drafts(storage, "lina", 0).write({ conv: "a", mode: "reply" }, "mine", 5);

    expect(new Drafts(storage, "wang", 6).read({ conv: "a", mode: "reply" })).toBe("");
  });

  test("an emptied draft is gone, and so is one of last month", () => {
    const storage = memory();
    const drafts = new Drafts(storage, "lina", 0);
    drafts.write({ conv: "a", mode: "reply" }, "text", 1);
    drafts.write({ conv: "a", mode: "reply" }, "", 2);
    drafts.write({ conv: "b", mode: "note" }, "old", 1);

    const later = new Drafts(storage, "lina", 31 * DAY);

    expect(later.read({ conv: "a", mode: "reply" })).toBe("");
    expect(later.read({ conv: "b", mode: "note" })).toBe("");
    expect(storage.length).toBe(0);
  });

  test("a row tells the newest of the two", () => {
    const drafts = new Drafts(null, "lina", 0);
    drafts.write({ conv: "a", mode: "reply" }, "first", 1);
    drafts.write({ conv: "a", mode: "note" }, "second", 2);

    expect(drafts.newestOf("a")).toBe("second");
    expect(drafts.newestOf("b")).toBeNull();
  });

  test("what another tab writes is taken over, and what is spoilt is not", () => {
    const storage = memory();
    const here = new Drafts(storage, "lina", 0);
    const there = new Drafts(storage, "lina", 0);
    let told = 0;
    here.onChange(() => {
      told += 1;
    });

    there.write({ conv: "a", mode: "reply" }, "from there", 1);
    const key = storage.key(0);
    const isNew = here.takeOver(key, storage.getItem(key as string));

    expect(isNew).toBe(true);
    expect(here.read({ conv: "a", mode: "reply" })).toBe("from there");
    expect(told).toBe(1);
    expect(here.takeOver("something:else", "x")).toBe(false);
    expect(here.takeOver(key, "{spoilt")).toBe(true);
    expect(here.read({ conv: "a", mode: "reply" })).toBe("");
  });
});
