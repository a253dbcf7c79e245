import { describe, expect, test } from "vitest";
import {
  arrivedAfter,
  blocksOf,
  firstNewIndex,
  type MessageItem,
  stretchAround,
  stretchAtEnd,
  stretchKept,
  stretchMoved,
  type TimelineItem,
} from "./timeline";

const NOON = new Date(2026, 10, 23, 12).getTime();

function message(position: number, change: Partial<MessageItem> = {}): MessageItem {
  return {
    kind: "message",
    key: `m${position}`,
    at: NOON + position * 1000,
    mine: false,
    author: { id: "agent:li", name: "李娜" },
    text: `第 ${position} 条`,
    note: false,
    status: null,
    msgId: `m${position}`,
    position,
    failure: null,
    ...change,
  };
}

const line = (position: number): TimelineItem => ({
  kind: "line",
  key: `l${position}`,
  at: NOON + position * 1000,
  position,
  text: "李娜 已接入",
});

const many = (count: number) => Array.from({ length: count }, (_, index) => message(index + 1));

const heads = (items: TimelineItem[], firstNew = -1) =>
  blocksOf(items, firstNew).map((block) => (block.kind === "message" ? block.first : block.kind));

describe("grouping", () => {
  test("messages of one person within three minutes share a head", () => {
    const items = [message(1), message(2), message(3, { at: NOON + 2000 + 179_000 })];

    expect(heads(items)).toEqual(["day", true, false, false]);
  });

  test("three minutes apart is a new head", () => {
    const items = [message(1, { at: NOON }), message(2, { at: NOON + 180_000 })];

    expect(heads(items)).toEqual(["day", true, true]);
  });

  test("another author, a note and a state line each end the group", () => {
    const other = { author: { id: "agent:wang", name: "王强" } };
    const items = [
      message(1),
      message(2, other),
      message(3, { ...other, note: true }),
      line(4),
      message(5),
    ];

    expect(heads(items)).toEqual(["day", true, true, true, "line", true]);
  });

  test("a day ends the group and gets a divider", () => {
    const late = new Date(2026, 10, 23, 23, 59, 30).getTime();
    const items = [message(1, { at: late }), message(2, { at: late + 60_000 })];

    expect(heads(items)).toEqual(["day", true, "day", true]);
  });

  test("the line above what is new opens a group", () => {
    expect(heads([message(1), message(2)], 1)).toEqual(["day", true, "new", true]);
  });

  test("the last of a group knows it", () => {
    const blocks = blocksOf([message(1), message(2), line(3)], -1);

    expect(blocks.flatMap((block) => (block.kind === "message" ? [block.last] : []))).toEqual([
      false,
      true,
    ]);
  });
});

describe("what is new", () => {
  test("is the first message of others after the read mark", () => {
    const items = [message(1), message(2, { mine: true }), line(3), message(4)];

    expect(firstNewIndex(items, 1)).toBe(3);
  });

  test("is nothing without a read mark, or when only own messages follow it", () => {
    expect(firstNewIndex([message(1)], null)).toBe(-1);
    expect(firstNewIndex([message(2, { mine: true })], 1)).toBe(-1);
  });

  test("arrivals are the messages of others behind what was last", () => {
    const items = [message(1), message(2), line(3), message(4, { mine: true }), message(5)];

    expect(arrivedAfter(items, "m1").map((item) => item.key)).toEqual(["m2", "m5"]);
    expect(arrivedAfter(items, null)).toEqual([]);
  });
});

describe("the stretch in the document", () => {
  test("is at most three hundred entries at the end", () => {
    expect(stretchAtEnd(1000)).toEqual({ from: 700, to: 1000 });
    expect(stretchAtEnd(10)).toEqual({ from: 0, to: 10 });
  });

  test("stands around an entry without leaving the list", () => {
    expect(stretchAround(500, 1000)).toEqual({ from: 350, to: 650 });
    expect(stretchAround(10, 1000)).toEqual({ from: 0, to: 300 });
    expect(stretchAround(990, 1000)).toEqual({ from: 700, to: 1000 });
  });

  test("moves by a step and never grows over its bound", () => {
    const older = stretchMoved({ from: 700, to: 1000 }, "older", 1000);

    expect(older).toEqual({ from: 600, to: 900 });
    expect(stretchMoved(older, "newer", 1000)).toEqual({ from: 700, to: 1000 });
    expect(stretchMoved({ from: 0, to: 20 }, "older", 20)).toEqual({ from: 0, to: 20 });
  });

  test("follows the end for a reader at the bottom", () => {
    const before = many(300);

    expect(stretchKept(stretchAtEnd(300), before, many(301), true)).toEqual({ from: 1, to: 301 });
  });

  test("keeps what a reader elsewhere looks at when older entries come above", () => {
    const before = many(100).slice(50);

    expect(stretchKept({ from: 0, to: 50 }, before, many(100), false)).toEqual({
      from: 50,
      to: 100,
    });
  });

  test("takes new entries in while there is room for them", () => {
    expect(stretchKept({ from: 0, to: 50 }, many(50), many(52), false)).toEqual({
      from: 0,
      to: 52,
    });
    expect(stretchKept({ from: 0, to: 300 }, many(300), many(305), false)).toEqual({
      from: 0,
      to: 300,
    });
  });
});
