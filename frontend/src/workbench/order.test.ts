import { describe, expect, test } from "vitest";
import { changes, hold, neighbour, type Sortable, sortedIds, windowOf } from "./order";

const row = (conv_id: string, more: Partial<Sortable> = {}): Sortable => ({
  conv_id,
  status: "active",
  turn: "agent",
  waiting_since: null,
  opened_at: 0,
  last_message: null,
  ...more,
});

describe("order", () => {
  test("who waits longest stands first in the queue", () => {
    const rows = [
      row("b", { waiting_since: 20 }),
      row("a", { waiting_since: 30 }),
      row("c", { waiting_since: 10 }),
    ];

    expect(sortedIds("queue", rows)).toEqual(["c", "b", "a"]);
  });

  test("mine: those who wait for me by their wait, then the newest, then the resolved", () => {
    const rows = [
      row("resolved", { status: "resolved", last_message: { at: 99 } }),
      row("answered-old", { turn: "employee", last_message: { at: 5 } }),
      row("answered-new", { turn: "employee", last_message: { at: 50 } }),
      row("waits-short", { waiting_since: 40 }),
      row("waits-long", { waiting_since: 10 }),
    ];

    expect(sortedIds("mine", rows)).toEqual([
      "waits-long",
      "waits-short",
      "answered-new",
      "answered-old",
      "resolved",
    ]);
  });

  test("closed: the newest first", () => {
    const rows = [row("old", { last_message: { at: 1 } }), row("new", { last_message: { at: 2 } })];

    expect(sortedIds("closed", rows)).toEqual(["new", "old"]);
  });

  test("equal rows keep one order, by id", () => {
    expect(sortedIds("queue", [row("b"), row("a")])).toEqual(["a", "b"]);
  });
});

describe("a held list", () => {
  test("shows what is wanted when nobody points at it", () => {
    expect(hold(["a", "b"], ["b", "a", "c"], false)).toEqual({
      shown: ["b", "a", "c"],
      pending: 0,
    });
  });

  test("moves nothing while held, and counts what waits", () => {
    expect(hold(["a", "b", "c"], ["c", "a", "b"], true)).toEqual({
      shown: ["a", "b", "c"],
      pending: 1,
    });
  });

  test("keeps a row that has gone until it is let go", () => {
    expect(hold(["a", "b"], ["b"], true)).toEqual({ shown: ["a", "b"], pending: 1 });
  });

  test("adds at once what sorts below everything shown", () => {
    expect(hold(["a", "b"], ["a", "b", "c"], true)).toEqual({ shown: ["a", "b", "c"], pending: 0 });
  });

  test("an empty list has nothing to hold", () => {
    expect(hold([], ["a"], true)).toEqual({ shown: ["a"], pending: 0 });
  });

  test("when all shown rows have gone, the new ones wait", () => {
    expect(hold(["a"], ["b", "c"], true)).toEqual({ shown: ["a"], pending: 3 });
  });
});

describe("changes", () => {
  test("counts comings, goings and the fewest moves", () => {
    expect(changes(["a", "b", "c", "d"], ["a", "b", "c", "d"])).toBe(0);
    expect(changes(["a", "b", "c", "d"], ["d", "a", "b", "c"])).toBe(1);
    expect(changes(["a", "b"], ["c", "b"])).toBe(2);
  });
});

describe("neighbours", () => {
  test("J and K stop at the ends and start somewhere when nothing is chosen", () => {
    expect(neighbour(["a", "b", "c"], "b", 1)).toBe("c");
    expect(neighbour(["a", "b", "c"], "c", 1)).toBe("c");
    expect(neighbour(["a", "b", "c"], "a", -1)).toBe("a");
    expect(neighbour(["a", "b", "c"], null, 1)).toBe("a");
    expect(neighbour(["a", "b", "c"], "gone", -1)).toBe("c");
    expect(neighbour([], "a", 1)).toBeNull();
  });
});

describe("the window over a long list", () => {
  test("holds at most sixty rows wherever it stands", () => {
    for (const top of [0, 10_000, 200_000, 359_000, 1e9]) {
      const { from, to } = windowOf(5_000, top, 900);
      expect(to - from).toBeLessThanOrEqual(60);
      expect(to - from).toBeGreaterThan(12);
      expect(from).toBeGreaterThanOrEqual(0);
      expect(to).toBeLessThanOrEqual(5_000);
    }
  });

  test("shows a short list whole", () => {
    expect(windowOf(10, 0, 700)).toEqual({ from: 0, to: 10 });
  });

  test("covers what the pane shows", () => {
    const { from, to } = windowOf(5_000, 72 * 100 + 10, 720);

    expect(from).toBeLessThanOrEqual(100);
    expect(to).toBeGreaterThanOrEqual(111);
  });
});
