import { describe, expect, test } from "vitest";
import { type KeyPress, lengthOf, maySend, sends } from "./composing";

const enter = (change: Partial<KeyPress> = {}): KeyPress => ({
  key: "Enter",
  shiftKey: false,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  isComposing: false,
  keyCode: 13,
  ...change,
});

describe("Enter", () => {
  test("sends on a keyboard, and breaks the line with Shift", () => {
    expect(sends(enter(), "enter")).toBe(true);
    expect(sends(enter({ shiftKey: true }), "enter")).toBe(false);
  });

  test("never sends while an input method composes, nor at the end of it in Safari", () => {
    for (const mode of ["enter", "ctrl-enter"] as const) {
      expect(sends(enter({ isComposing: true, ctrlKey: true }), mode)).toBe(false);
      expect(sends(enter({ keyCode: 229, ctrlKey: true }), mode)).toBe(false);
    }
    expect(sends(enter({ isComposing: true }), "enter")).toBe(false);
    expect(sends(enter({ keyCode: 229 }), "enter")).toBe(false);
  });

  test("needs Ctrl or ⌘ where the setting says so", () => {
    expect(sends(enter(), "ctrl-enter")).toBe(false);
    expect(sends(enter({ ctrlKey: true }), "ctrl-enter")).toBe(true);
    expect(sends(enter({ metaKey: true }), "ctrl-enter")).toBe(true);
  });

  test("never sends on touch, and no other key sends", () => {
    expect(sends(enter(), "button")).toBe(false);
    expect(sends(enter({ key: "a" }), "enter")).toBe(false);
  });
});

describe("a text", () => {
  test("may go if something besides white space is in it", () => {
    expect(maySend(" \n\t\u3000", 4000)).toBe(false);
    expect(maySend("  好 ", 4000)).toBe(true);
  });

  test("is counted in code points, as the server counts", () => {
    expect(lengthOf("👍🏽")).toBe(2);
    expect(maySend("👍".repeat(4000), 4000)).toBe(true);
    expect(maySend("好".repeat(4001), 4000)).toBe(false);
  });
});
