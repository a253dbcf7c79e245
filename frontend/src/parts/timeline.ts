/**
 * What a timeline shows, worked out without a document: day dividers, shared heads, the line
 * above what is new, and which stretch of a long conversation stands in the document.
 * It knows messages and lines, no desk.
 */

export type MessageStatus = "sending" | "waiting" | "sent" | "delivered" | "read" | "failed";

export interface MessageItem {
  kind: "message";
  /** Stable for the life of the message on screen: the command id where there is one. */
  key: string;
  at: number;
  /** Written by the reader. */
  mine: boolean;
  author: { id: string; name: string };
  /** Exactly what was written. */
  text: string;
  /** For staff only: other ground, icon and label. */
  note: boolean;
  /** Null where no status is shown: messages of others. */
  status: MessageStatus | null;
  /** Null while it waits in the outbox. */
  msgId: string | null;
  position: number | null;
  /** Why it could not be sent, in words, if `status` is "failed". */
  failure: string | null;
}

export interface LineItem {
  kind: "line";
  key: string;
  at: number;
  position: number | null;
  text: string;
}

export type TimelineItem = MessageItem | LineItem;

export type Block =
  | { kind: "day"; key: string; at: number }
  | { kind: "new"; key: string }
  | { kind: "line"; key: string; item: LineItem }
  | { kind: "message"; key: string; item: MessageItem; first: boolean; last: boolean };

/** Messages of one person this close together share a head. */
export const GROUP_MS = 3 * 60_000;

/** At most this many entries are in the document at once. */
export const WINDOW_MAX = 300;

/** How far the window moves when its edge is reached. */
export const WINDOW_STEP = 100;

/** The blocks of a stretch of items, in order; the line 以下为新消息 stands above `firstNew`. */
export function blocksOf(items: readonly TimelineItem[], firstNew: number): Block[] {
  const blocks: Block[] = [];
  items.forEach((item, index) => {
    const before = index > 0 ? items[index - 1] : undefined;
    const opensDay = !before || dayOf(before.at) !== dayOf(item.at);
    if (opensDay) blocks.push({ kind: "day", key: `day:${item.key}`, at: item.at });
    if (index === firstNew) blocks.push({ kind: "new", key: "new" });
    if (item.kind === "line") {
      blocks.push({ kind: "line", key: item.key, item });
      return;
    }
    const after = index + 1 < items.length ? items[index + 1] : undefined;
    blocks.push({
      kind: "message",
      key: item.key,
      item,
      first: opensDay || index === firstNew || !isGrouped(before, item),
      last: !after || index + 1 === firstNew || !isGrouped(item, after),
    });
  });
  return blocks;
}

/** Two neighbours under one head: one author, one kind, one day, within three minutes. */
export function isGrouped(before: TimelineItem | undefined, item: TimelineItem): boolean {
  return (
    before?.kind === "message" &&
    item.kind === "message" &&
    before.author.id === item.author.id &&
    before.mine === item.mine &&
    before.note === item.note &&
    item.at - before.at < GROUP_MS &&
    dayOf(before.at) === dayOf(item.at)
  );
}

/** The index of the first message of others after the read position, or -1. */
export function firstNewIndex(items: readonly TimelineItem[], newAfter: number | null): number {
  if (newAfter === null) return -1;
  return items.findIndex(
    (item) =>
      item.kind === "message" && !item.mine && item.position !== null && item.position > newAfter,
  );
}

/** A stretch of items, `from` included, `to` not. */
export interface Stretch {
  from: number;
  to: number;
}

/** The stretch at the end: where a reader at the bottom is. */
export function stretchAtEnd(count: number, max = WINDOW_MAX): Stretch {
  return { from: Math.max(0, count - max), to: count };
}

/** The stretch that has `index` near its middle. */
export function stretchAround(index: number, count: number, max = WINDOW_MAX): Stretch {
  const from = Math.max(0, Math.min(index - Math.floor(max / 2), count - max));
  return { from, to: Math.min(count, from + max) };
}

/** The stretch moved by one step towards the older or the newer end. */
export function stretchMoved(
  stretch: Stretch,
  towards: "older" | "newer",
  count: number,
  max = WINDOW_MAX,
): Stretch {
  if (towards === "older") {
    const from = Math.max(0, stretch.from - WINDOW_STEP);
    return { from, to: Math.min(stretch.to, from + max) };
  }
  const to = Math.min(count, stretch.to + WINDOW_STEP);
  return { from: Math.max(stretch.from, to - max), to };
}

/**
 * The stretch after the items changed: a reader at the bottom stays at the end, any other keeps
 * the items they look at, known by key; `earlier` is what stood there before.
 */
export function stretchKept(
  stretch: Stretch,
  earlier: readonly TimelineItem[],
  items: readonly TimelineItem[],
  atBottom: boolean,
  max = WINDOW_MAX,
): Stretch {
  if (atBottom) return stretchAtEnd(items.length, max);
  const anchor = earlier[stretch.from];
  const from = anchor ? items.findIndex((item) => item.key === anchor.key) : -1;
  if (from < 0) return stretchAtEnd(items.length, max);
  const wasAtEnd = stretch.to >= earlier.length;
  const to = wasAtEnd ? items.length : from + (stretch.to - stretch.from);
  return { from, to: Math.min(items.length, to, from + max) };
}

/** Messages of others that came at the end since `lastKey` was the last item; none at first. */
export function arrivedAfter(
  items: readonly TimelineItem[],
  lastKey: string | null,
): MessageItem[] {
  if (lastKey === null) return [];
  const last = items.findIndex((item) => item.key === lastKey);
  if (last < 0) return [];
  return items
    .slice(last + 1)
    .filter((item): item is MessageItem => item.kind === "message" && !item.mine);
}

function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
