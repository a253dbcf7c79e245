/** When a key press in the composer sends. Pure, because input methods make it delicate. */

/** `button`: no key sends (touch). */
export type SendKey = "enter" | "ctrl-enter" | "button";

export interface KeyPress {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  isComposing: boolean;
  keyCode: number;
}

/** 229 too: Safari ends the composition before the keydown of the Enter that ended it. */
export function isComposingKey(press: Pick<KeyPress, "isComposing" | "keyCode">): boolean {
  return press.isComposing || press.keyCode === 229;
}

export function sends(press: KeyPress, sendKey: SendKey): boolean {
  if (press.key !== "Enter" || isComposingKey(press) || press.shiftKey || press.altKey) {
    return false;
  }
  const withControl = press.ctrlKey || press.metaKey;
  if (sendKey === "ctrl-enter") return withControl;
  return sendKey === "enter" && !withControl;
}

/** Characters as the server counts them: code points. */
export function lengthOf(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The text may go: something besides white space, and not too long. Nothing is ever trimmed. */
export function maySend(text: string, max: number): boolean {
  return text.trim() !== "" && lengthOf(text) <= max;
}
