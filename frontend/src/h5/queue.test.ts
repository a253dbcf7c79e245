// @vitest-environment jsdom
import { afterEach, describe, expect, test } from "vitest";
import { speak } from "../words/words";
import { placeText } from "./queue";

afterEach(() => speak("zh-CN"));

const place = { place: 3, low_s: null, high_s: null, reason: null };

describe("the place in the queue", () => {
  test("comes with a range of minutes where one is known", () => {
    expect(placeText({ ...place, low_s: 240, high_s: 480 })).toBe("第 3 位，约 4–8 分钟");
    expect(placeText({ ...place, low_s: 60, high_s: 60 })).toBe("第 3 位，约 1 分钟");
  });

  test("comes with the reason where none is, and alone for a reason that has no words", () => {
    expect(placeText({ ...place, reason: "none_online" })).toBe("第 3 位，暂无坐席在线");
    expect(placeText({ ...place, reason: "pull" })).toBe("第 3 位");
    expect(placeText(place)).toBe("第 3 位");
  });

  test("is said in English too", () => {
    speak("en");

    expect(placeText({ ...place, low_s: 240, high_s: 480 })).toBe("Number 3, about 4–8 min");
    expect(placeText({ ...place, reason: "closed_hours" })).toBe("Number 3, outside working hours");
  });
});
