// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { onNextFrame } from "./frames";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a burst is one call, with the newest value", () => {
  const seen: number[] = [];
  const show = onNextFrame((value: number) => seen.push(value));

  for (const value of [1, 2, 3]) show(value);
  expect(seen).toEqual([]);
  vi.advanceTimersByTime(20);

  expect(seen).toEqual([3]);
  vi.advanceTimersByTime(500);
  expect(seen).toEqual([3]);
});

test("a page without frames is served by a timer", () => {
  vi.stubGlobal("requestAnimationFrame", () => 0);
  const seen: number[] = [];
  const show = onNextFrame((value: number) => seen.push(value));

  show(1);
  vi.advanceTimersByTime(100);

  expect(seen).toEqual([1]);
  vi.unstubAllGlobals();
});

test("what is cancelled is not shown, and the next value is", () => {
  const seen: number[] = [];
  const show = onNextFrame((value: number) => seen.push(value));

  show(1);
  show.cancel();
  vi.advanceTimersByTime(500);
  show(2);
  vi.advanceTimersByTime(500);

  expect(seen).toEqual([2]);
});
