import { expect, test } from "vitest";
import { initialsOf } from "./initials";

test("a Chinese name gives its last two characters, another its first letters", () => {
  expect(["李娜", "王小明", "欧阳 修", "Ada Lovelace", "zhang", "", "  "].map(initialsOf)).toEqual([
    "李娜",
    "小明",
    "阳修",
    "AL",
    "Z",
    "?",
    "?",
  ]);
});
