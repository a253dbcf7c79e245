import { expect, test } from "vitest";
import { Announcements } from "./announcements";

const heard = (text: string) => ({ name: "李娜", text });

test("a message is said once, at once", () => {
  const announcements = new Announcements();

  expect(announcements.hear([heard("您好")], 0)).toEqual([{ kind: "one", heard: heard("您好") }]);
  expect(announcements.settle(60_000)).toBeNull();
});

test("three within two seconds are said, more become a count when the burst is over", () => {
  const announcements = new Announcements();
  for (const at of [0, 100, 200]) expect(announcements.hear([heard("一")], at)).toHaveLength(1);

  expect(announcements.hear([heard("四"), heard("五")], 300)).toEqual([]);

  expect(announcements.dueAt).toBe(2300);
  expect(announcements.settle(2299)).toBeNull();
  expect(announcements.settle(2300)).toEqual({ kind: "many", count: 2 });
  expect(announcements.settle(5000)).toBeNull();
});

test("a whole page at once is a count", () => {
  const announcements = new Announcements();

  expect(announcements.hear(Array(20).fill(heard("旧")), 0)).toEqual([]);

  expect(announcements.settle(2000)).toEqual({ kind: "many", count: 20 });
});

test("slow talk is said message by message", () => {
  const announcements = new Announcements();

  for (let at = 0; at < 20_000; at += 1000) {
    expect(announcements.hear([heard("一")], at)).toHaveLength(1);
  }
});
