import { expect, test } from "vitest";
import { type DraftStorage, Drafts } from "./drafts";

class Shelf implements DraftStorage {
  readonly kept = new Map<string, string>();
  get length() {
    return this.kept.size;
  }
  key(index: number) {
    return [...this.kept.keys()][index] ?? null;
  }
  getItem(key: string) {
    return this.kept.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    this.kept.set(key, value);
  }
  removeItem(key: string) {
    this.kept.delete(key);
  }
}

test("a draft belongs to its conversation and comes back after a reload, exactly", () => {
  const shelf = new Shelf();
  const draft = new Drafts(shelf, "wang").of("c1");

  draft.value = "  两行\n末尾空格 ";

  expect(new Drafts(shelf, "wang").read("c1")).toBe("  两行\n末尾空格 ");
  expect(new Drafts(shelf, "wang").read("c2")).toBe("");
});

test("an emptied draft leaves nothing on the device", () => {
  const shelf = new Shelf();
  const drafts = new Drafts(shelf, "wang");
  drafts.write("c1", "x");

  drafts.write("c1", "");

  expect(shelf.length).toBe(0);
});

test("another person's drafts go, other keys stay", () => {
  const shelf = new Shelf();
  shelf.setItem("else", "1");
  new Drafts(shelf, "wang").write("c1", "王的");
  const li = new Drafts(shelf, "li");
  li.write("c1", "李的");

  li.dropOthers();

  expect([...shelf.kept.values()].sort()).toEqual(["1", "李的"]);
});

test("a device that keeps nothing still holds the draft while the page lives", () => {
  const drafts = new Drafts(null, "wang");

  drafts.write("c1", "x");

  expect(drafts.read("c1")).toBe("x");
});
