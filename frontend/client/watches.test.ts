import { describe, expect, test } from "vitest";
import { type Reader, Watches } from "./watches.ts";
import type { Ephemeral } from "./wire.ts";

interface Heard extends Reader {
  got: number[];
  ends: [string, string, boolean][];
  signed: [string[], string | null][];
}

function reader(): Heard {
  const heard: Heard = {
    got: [],
    ends: [],
    signed: [],
    apply: (_stream, position) => void heard.got.push(position),
    signs: (_stream, all, news) =>
      void heard.signed.push([all.map(({ key }) => key), news?.key ?? null]),
    lost: (...end) => void heard.ends.push(end),
  };
  return heard;
}

const feed = (watches: Watches, from: number, to: number) => {
  for (let n = from; n <= to; n++) watches.apply("a", "e1", n, {});
};
const sign = (key: string, ttl_ms?: number): Ephemeral => ({
  stream: "a",
  type: "typing",
  key,
  ...(ttl_ms === undefined ? {} : { ttl_ms }),
  data: {},
});

describe("several readers of one stream", () => {
  test("the first one's place is the connection's", () => {
    expect(new Watches().add(reader(), "a", ["e1", 5], undefined)).toEqual(["e1", 5]);
  });

  test("one that stands ahead waits, without a question", () => {
    const watches = new Watches();
    const [behind, ahead] = [reader(), reader()];
    watches.add(behind, "a", ["e1", 5], undefined);
    expect(watches.add(ahead, "a", ["e1", 7], ["e1", 5])).toBeUndefined();
    feed(watches, 6, 9);
    expect(behind.got).toEqual([6, 7, 8, 9]);
    expect(ahead.got).toEqual([8, 9]);
  });

  test("one that stands behind rewinds the connection; the other hears nothing twice", () => {
    const watches = new Watches();
    const [first, second] = [reader(), reader()];
    watches.add(first, "a", ["e1", 5], undefined);
    feed(watches, 6, 8);
    expect(watches.add(second, "a", ["e1", 6], ["e1", 8])).toEqual(["e1", 6]);
    feed(watches, 7, 9);
    expect(first.got).toEqual([6, 7, 8, 9]);
    expect(second.got).toEqual([7, 8, 9]);
  });

  test("from now on is where the connection stands", () => {
    const watches = new Watches();
    const [first, second] = [reader(), reader()];
    watches.add(first, "a", ["e1", 5], undefined);
    expect(watches.add(second, "a", null, ["e1", 5])).toBeUndefined();
    feed(watches, 6, 6);
    expect(second.got).toEqual([6]);
  });

  test("from the first on rewinds", () => {
    const watches = new Watches();
    const [first, second] = [reader(), reader()];
    watches.add(first, "a", ["e1", 5], undefined);
    expect(watches.add(second, "a", [null, 0], ["e1", 5])).toEqual([null, 0]);
    feed(watches, 1, 6);
    expect(first.got).toEqual([6]);
    expect(second.got).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("of another epoch: who is of the old one begins anew", () => {
    const watches = new Watches();
    const [old, fresh] = [reader(), reader()];
    watches.add(old, "a", ["e0", 5], undefined);
    expect(watches.add(fresh, "a", ["e1", 5], ["e0", 5])).toEqual(["e1", 5]);
    feed(watches, 6, 6);
    expect(old.got).toEqual([]);
    expect(old.ends).toEqual([["a", "epoch", true]]);
    expect(fresh.got).toEqual([6]);
  });

  test("the last one to leave ends the watch", () => {
    const watches = new Watches();
    const [first, second] = [reader(), reader()];
    watches.add(first, "a", ["e1", 5], undefined);
    watches.add(second, "a", ["e1", 5], ["e1", 5]);
    expect(watches.remove(first, "a")).toBe(false);
    expect(watches.remove(first, "a")).toBe(false);
    expect(watches.remove(second, "a")).toBe(true);
    expect(watches.has("a")).toBe(false);
  });

  test("all of them hear of a reset, and may watch again from within it", () => {
    const watches = new Watches();
    const first = reader();
    first.lost = (stream) => void watches.add(first, stream, ["e2", 1], undefined);
    const second = reader();
    watches.add(first, "a", ["e1", 5], undefined);
    watches.add(second, "a", ["e1", 5], ["e1", 5]);
    watches.lose("a", "epoch", true);
    expect(second.ends).toEqual([["a", "epoch", true]]);
    watches.apply("a", "e2", 2, {});
    expect(first.got).toEqual([2]);
    expect(second.got).toEqual([]);
  });
});

describe("signs", () => {
  test("newest per key, ended by their time or a ttl of 0, told each time", () => {
    const watches = new Watches();
    const heard = reader();
    watches.add(heard, "a", ["e1", 5], undefined);
    watches.sign(sign("x", 6_000), 0);
    watches.sign(sign("y"), 0);
    expect(watches.dueAt).toBe(6_000);
    watches.sign(sign("x", 6_000), 1_000);
    watches.wake(6_999);
    expect(watches.signs("a")).toHaveLength(2);
    watches.wake(7_000);
    expect(watches.signs("a").map(({ key }) => key)).toEqual(["y"]);
    watches.sign(sign("y", 0), 8_000);
    expect(heard.signed).toEqual([
      [["x"], "x"],
      [["x", "y"], "y"],
      [["x", "y"], "x"],
      [["y"], null],
      [[], "y"],
    ]);
    expect(watches.dueAt).toBeNull();
  });

  test("live replaces all that stood", () => {
    const watches = new Watches();
    const heard = reader();
    watches.add(heard, "a", ["e1", 5], undefined);
    watches.sign(sign("x"), 0);
    watches.replaceSigns("a", [sign("z")], 0);
    expect(heard.signed).toEqual([
      [["x"], "x"],
      [["z"], null],
    ]);
  });
});
