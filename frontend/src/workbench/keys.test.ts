import { describe, expect, test } from "vitest";
import { actOf, KEYS, type KeyPlace, type KeyPress } from "./keys";

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({
  key,
  ctrl: false,
  meta: false,
  alt: false,
  shift: false,
  composing: false,
  ...more,
});
const outside: KeyPlace = { inField: false, dialogOpen: false, lettersOn: true };

describe("keys", () => {
  test("each letter of the table acts outside fields", () => {
    const acts = ["j", "K", "r", "N", "c", "E", "?"].map((key) => actOf(press(key), outside));

    expect(acts).toEqual(["next", "previous", "reply", "note", "claim", "resolve", "keys"]);
  });

  test("a letter typed into a field is text", () => {
    expect(actOf(press("j"), { ...outside, inField: true })).toBeNull();
    expect(actOf(press("?"), { ...outside, inField: true })).toBeNull();
  });

  test("Esc and F6 work inside a field too", () => {
    const inField = { ...outside, inField: true };

    expect(actOf(press("Escape"), inField)).toBe("close");
    expect(actOf(press("F6"), inField)).toBe("next-pane");
    expect(actOf(press("F6", { shift: true }), inField)).toBe("previous-pane");
  });

  test("nothing acts while a dialog is open", () => {
    for (const key of ["j", "e", "Escape", "F6", "?"]) {
      expect(actOf(press(key), { ...outside, dialogOpen: true })).toBeNull();
    }
  });

  test("letters can be switched off, and Esc and F6 stay", () => {
    const off = { ...outside, lettersOn: false };

    expect(actOf(press("j"), off)).toBeNull();
    expect(actOf(press("Escape"), off)).toBe("close");
    expect(actOf(press("F6"), off)).toBe("next-pane");
  });

  test("a browser's own shortcuts are left alone", () => {
    expect(actOf(press("r", { ctrl: true }), outside)).toBeNull();
    expect(actOf(press("c", { meta: true }), outside)).toBeNull();
    expect(actOf(press("e", { alt: true }), outside)).toBeNull();
  });

  test("a key that belongs to an input method is left alone", () => {
    expect(actOf(press("j", { composing: true }), outside)).toBeNull();
    expect(actOf(press("Escape", { composing: true }), outside)).toBeNull();
  });

  test("every act stands in the table once", () => {
    const acts = KEYS.map((line) => line.act);

    expect(new Set(acts).size).toBe(acts.length);
  });
});
