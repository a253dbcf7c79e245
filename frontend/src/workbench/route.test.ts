import { expect, test } from "vitest";
import { convOf, pathOf } from "./route";

test("an address names its conversation, and the home names none", () => {
  expect(convOf("/workbench/c/0193-a")).toBe("0193-a");
  expect(convOf("/workbench/c/0193-a/")).toBe("0193-a");
  expect(convOf("/workbench")).toBeNull();
  expect(convOf("/workbench/c/a/b")).toBeNull();
  expect(convOf("/h5/c/0193-a")).toBeNull();
});

test("a broken escape in an address is no conversation", () => {
  expect(convOf("/workbench/c/%E0%A4%A")).toBeNull();
});

test("what is written is read again", () => {
  expect(convOf(pathOf("a/b c"))).toBe("a/b c");
  expect(pathOf(null)).toBe("/workbench");
});
