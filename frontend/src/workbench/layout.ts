/** How many panes stand side by side at a width, and which of them is seen. Pure. */

export type Pane = "lists" | "talk" | "context";
export type Layout = "three" | "two" | "one";

const THREE_FROM_PX = 1280;
const TWO_FROM_PX = 1024;

export function layoutAt(widthPx: number): Layout {
  if (widthPx >= THREE_FROM_PX) return "three";
  return widthPx >= TWO_FROM_PX ? "two" : "one";
}

/** The panes F6 walks through. In `two` and `one` the context is a drawer, and a dialog of its own while open. */
export function panesOf(layout: Layout, conv: string | null): readonly Pane[] {
  if (layout === "one") return conv === null ? ["lists"] : ["talk"];
  if (layout === "two" || conv === null) return ["lists", "talk"];
  return ["lists", "talk", "context"];
}

export function nextPane(panes: readonly Pane[], now: Pane | null, step: 1 | -1): Pane {
  const at = now === null ? -1 : panes.indexOf(now);
  const start = at < 0 && step === -1 ? 0 : at;
  return panes[(start + step + panes.length) % panes.length] as Pane;
}
