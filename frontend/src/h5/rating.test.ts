// @vitest-environment jsdom
import { afterEach, expect, test } from "vitest";
import { speak } from "../words/words";
import { reasonsFor, scores, scoreWord } from "./rating";

afterEach(() => speak("zh-CN"));

test.each(["zh-CN", "en"] as const)(
  "%s: at most eight reasons, each of at most 40 characters",
  (l) => {
    speak(l);

    for (const score of scores) {
      const reasons = reasonsFor(score);
      expect(reasons.length).toBeGreaterThan(2);
      expect(reasons.length).toBeLessThanOrEqual(8);
      expect(new Set(reasons).size).toBe(reasons.length);
      for (const reason of reasons) expect(reason.length).toBeLessThanOrEqual(40);
    }
  },
);

test("the reasons follow the score", () => {
  expect(reasonsFor(1)).not.toEqual(reasonsFor(5));
  expect(reasonsFor(1)).toEqual(reasonsFor(2));
});

test("every score has its word", () => {
  expect(scores.map(scoreWord)).toEqual(["很不满意", "不满意", "一般", "满意", "很满意"]);
});
