import { afterEach, expect, test } from "vitest";
import { language } from "../words/words";
import { namesText, waitText } from "./phrases";

afterEach(() => {
  language.value = "zh-CN";
});

test("a wait is said in both languages", () => {
  expect(waitText(42_000)).toBe("42 秒");
  expect(waitText(125 * 60_000)).toBe("2 小时 5 分");

  language.value = "en";

  expect(waitText(42_000)).toBe("42 s");
  expect(waitText(125 * 60_000)).toBe("2 h 5 min");
});

test("up to three names are said, then their number", () => {
  expect(namesText([])).toBe("");
  expect(namesText(["李娜"])).toBe("李娜");
  expect(namesText(["李娜", "王强"])).toBe("李娜、王强");
  expect(namesText(["李娜", "王强", "赵敏", "陈杰"])).toBe("李娜、王强、赵敏 等 4 人");
});
