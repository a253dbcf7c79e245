/**
 * Which key does what on the workbench. Pure: it is told about the key and where it was pressed, and names
 * the act; it never looks at the document. Single letters act only outside fields, never while a dialog is
 * open, and can be switched off (WCAG 2.1.4).
 */

export type Act =
  | "next"
  | "previous"
  | "reply"
  | "note"
  | "resolve"
  | "claim"
  | "close"
  | "next-pane"
  | "previous-pane"
  | "keys";

export interface KeyPress {
  key: string;
  ctrl: boolean;
  meta: boolean;
  alt: boolean;
  shift: boolean;
  /** An input method is still composing, or says so in the old way (keyCode 229). */
  composing: boolean;
}

export interface KeyPlace {
  inField: boolean;
  dialogOpen: boolean;
  lettersOn: boolean;
}

/** The table that `?` shows, in this order. */
export const KEYS: readonly { act: Act; keys: readonly string[] }[] = [
  { act: "next", keys: ["J"] },
  { act: "previous", keys: ["K"] },
  { act: "reply", keys: ["R"] },
  { act: "note", keys: ["N"] },
  { act: "claim", keys: ["C"] },
  { act: "resolve", keys: ["E"] },
  { act: "close", keys: ["Esc"] },
  { act: "next-pane", keys: ["F6"] },
  { act: "previous-pane", keys: ["Shift", "F6"] },
  { act: "keys", keys: ["?"] },
];

const LETTERS: Readonly<Record<string, Act>> = {
  j: "next",
  k: "previous",
  r: "reply",
  n: "note",
  e: "resolve",
  c: "claim",
  "?": "keys",
  // A Chinese input method in its full-width state sends this one for the same key.
  "？": "keys",
};

export function actOf(press: KeyPress, place: KeyPlace): Act | null {
  if (press.composing || place.dialogOpen) return null;
  if (press.ctrl || press.meta || press.alt) return null;
  if (press.key === "F6") return press.shift ? "previous-pane" : "next-pane";
  if (press.key === "Escape") return "close";
  if (place.inField || !place.lettersOn) return null;
  return LETTERS[press.key.toLowerCase()] ?? null;
}

/** What `actOf` needs from a browser's event, in one place. */
export function pressOf(event: KeyboardEvent): KeyPress {
  return {
    key: event.key,
    ctrl: event.ctrlKey,
    meta: event.metaKey,
    alt: event.altKey,
    shift: event.shiftKey,
    composing: event.isComposing || event.keyCode === 229,
  };
}
