/**
 * Entries, outbox and marks → what the timeline shows. Pure. An own message is a bubble from the
 * outbox until its event has come; the command id makes the two one and the same item.
 */
import { type Entry, type Mark, type Me, type OutboxItem, statusOf } from "@deskwire/client/desk";
import type { LineItem, MessageItem, TimelineItem } from "../parts/timeline";
import { failureText, t } from "../words/shared";
import { eventLine, withdrawnLine } from "../words/shared.events";

export interface Told {
  entries: readonly Entry[];
  outbox: readonly OutboxItem[];
  marks: readonly Mark[];
  me: Me & { name: string };
}

export function itemsOf({ entries, outbox, marks, me }: Told): TimelineItem[] {
  const items: TimelineItem[] = [];
  const arrived = commandIdsOf(entries);
  entries.forEach((entry, index) => {
    const item =
      isMessage(entry) && withdrawnLine(entry.event, me) === null
        ? messageItem(entry, marks as Mark[], me)
        : isSaidByNext(entry, entries[index + 1])
          ? null
          : lineItem(entry, me);
    if (item) items.push(item);
  });
  for (const waiting of outbox) {
    if (isWritten(waiting) && !arrived.has(waiting.commandId)) items.push(outboxItem(waiting, me));
  }
  return items;
}

/** Command ids of the messages and notes that have come as events. */
export function commandIdsOf(entries: readonly Entry[]): Set<string> {
  const ids = new Set<string>();
  for (const { event } of entries) {
    if (typeof event.data?.command_id === "string") ids.add(event.data.command_id);
  }
  return ids;
}

/** The newest public position among the entries; 0 where there is none. */
export function headOf(entries: readonly Entry[]): number {
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const entry = entries[index];
    if (entry && !isStaff(entry)) return entry.position;
  }
  return 0;
}

/** The oldest public position among the entries; 0 where there is none. */
export function firstOf(entries: readonly Entry[]): number {
  return entries.find((entry) => !isStaff(entry))?.position ?? 0;
}

/** How far I have read, by the marks; 0 where there is no mark of mine. */
export function readMarkOf(marks: readonly Mark[], me: Me): number {
  return marks.find((mark) => mark.realm === me.realm && mark.person === me.id)?.read ?? 0;
}

/** The items, with those that did not change being the same objects as before: they need no new paint. */
export function keepSame(
  before: readonly TimelineItem[],
  items: readonly TimelineItem[],
): TimelineItem[] {
  const known = new Map(before.map((item) => [item.key, item]));
  return items.map((item) => {
    const old = known.get(item.key);
    return old && isSame(old, item) ? old : item;
  });
}

function isSame(one: TimelineItem, other: TimelineItem): boolean {
  if (one.kind !== other.kind || one.at !== other.at || one.text !== other.text) return false;
  if (one.position !== other.position) return false;
  if (one.kind === "line" || other.kind === "line") return true;
  return one.status === other.status && one.msgId === other.msgId && one.failure === other.failure;
}

const isStaff = (entry: Entry) => entry.stream.endsWith(":staff");

const isMessage = (entry: Entry) =>
  entry.event.type === "message.posted" || entry.event.type === "note.posted";

const isWritten = (item: OutboxItem) =>
  item.name === "post_message" || item.name === "post_note" || item.name === "open_conversation";

/** An agent who takes a conversation joins and is assigned at once; one line says both. */
function isSaidByNext(entry: Entry, next: Entry | undefined): boolean {
  return (
    entry.event.type === "participant.joined" &&
    next?.event.type === "conversation.assigned" &&
    next.event.data?.agent?.id === entry.event.data?.person?.id
  );
}

function messageItem(entry: Entry, marks: Mark[], me: Me): MessageItem {
  const { event } = entry;
  const note = event.type === "note.posted";
  const mine = event.by?.realm === me.realm && event.by.id === me.id;
  const isText = note || event.data.kind === "text";
  return {
    kind: "message",
    key: typeof event.data.command_id === "string" ? event.data.command_id : event.id,
    at: event.at,
    mine,
    author: { id: `${event.by?.realm}:${event.by?.id}`, name: event.by?.name ?? "" },
    text: isText ? event.data.body : t("message.unknown"),
    note,
    status: !mine ? null : note ? "sent" : statusOf(entry.position, marks, me),
    msgId: event.data.msg_id,
    position: note ? null : entry.position,
    failure: null,
  };
}

function lineItem(entry: Entry, me: Me): LineItem | null {
  const text = withdrawnLine(entry.event, me) ?? eventLine(entry.event, me);
  if (text === null) return null;
  return {
    kind: "line",
    key: entry.event.id,
    at: entry.event.at,
    position: isStaff(entry) ? null : entry.position,
    text,
  };
}

function outboxItem(item: OutboxItem, me: Told["me"]): MessageItem {
  return {
    kind: "message",
    key: item.commandId,
    at: item.at,
    mine: true,
    author: { id: `${me.realm}:${me.id}`, name: me.name },
    text: item.args.body,
    note: item.name === "post_note",
    status: item.state,
    msgId: null,
    position: null,
    failure: failureOf(item),
  };
}

/** A message that failed without a refusal is older than a day: the person decides whether it goes. */
function failureOf(item: OutboxItem): string | null {
  if (item.state !== "failed") return null;
  return item.refusal ? failureText(item.refusal) : t("message.old");
}
