/**
 * Snapshot and events → what the pages show. Pure; names neither DOM nor socket. The law: folding what came after a
 * snapshot gives the snapshot taken then. Every step returns a new value and leaves the old one alone.
 */
import type {
  BoardSnapshot,
  BoardView,
  Conversation,
  ConversationSnapshot,
  ConversationView,
  DeskEvent,
  EntriesPage,
  Entry,
  Ephemeral,
  FoldInput,
  LastMessage,
  Mark,
  Me,
  MessageStatus,
  MineSnapshot,
  MineView,
  Participant,
  Positions,
  QueuePlace,
  Row,
  RowView,
  Unseen,
} from "./model.ts";

// --- the timeline ------------------------------------------------------------------------------------

/** By place among the public entries; public before staff at the same place, then by staff position. */
export function compareEntries(a: Entry, b: Entry): number {
  return (
    anchorOf(a) - anchorOf(b) || Number(isStaff(a)) - Number(isStaff(b)) || a.position - b.position
  );
}

const isStaff = (entry: Entry) => entry.stream.endsWith(":staff");
const anchorOf = (entry: Entry) => (isStaff(entry) ? (entry.event.anchor ?? 0) : entry.position);

function insert(entries: Entry[], entry: Entry): Entry[] {
  let at = entries.length;
  while (at > 0) {
    const before = entries[at - 1];
    const order = before ? compareEntries(before, entry) : -1;
    if (order === 0 && before?.stream === entry.stream) return entries;
    if (order <= 0) break;
    at -= 1;
  }
  return [...entries.slice(0, at), entry, ...entries.slice(at)];
}

/**
 * How far a message at this position has come with the other side. To an employee all agents are one reader;
 * to an agent the other side is the employees.
 */
export function statusOf(position: number, marks: Mark[], me: Me): MessageStatus {
  let delivered = false;
  for (const mark of marks) {
    if (mark.realm === me.realm && (me.realm === "agent" || mark.person === me.id)) continue;
    if (position <= mark.read) return "read";
    if (position <= mark.delivered) delivered = true;
  }
  return delivered ? "delivered" : "sent";
}

// --- one conversation --------------------------------------------------------------------------------

export function foldConversation(
  view: ConversationView | null,
  input: FoldInput<ConversationSnapshot>,
): ConversationView {
  if ("snapshot" in input) return openView(input.snapshot);
  if (!view) throw new Error("a snapshot comes first");
  if ("entry" in input) return foldEntry(view, input.entry);
  if ("sign" in input) return foldSign(view, input.sign);
  return foldSigns(view, input.signs, input.stream);
}

function openView(snapshot: ConversationSnapshot): ConversationView {
  const { conversation, participants, marks, more } = snapshot;
  const entries = [...snapshot.entries].sort(compareEntries);
  return { conversation, participants, marks, entries, more, typing: [], viewing: [] };
}

/** Older entries, put in front. */
export function withEarlier(view: ConversationView, page: EntriesPage): ConversationView {
  let entries = [...page.entries].sort(compareEntries);
  for (const entry of view.entries) entries = insert(entries, entry);
  return { ...view, entries, more: page.more };
}

function foldEntry(view: ConversationView, entry: Entry): ConversationView {
  if (!entry.stream.startsWith("conv:")) return { ...view, ...conversationAfter(view, entry) };
  const entries = insert(view.entries, entry);
  if (entries === view.entries) return view;
  return {
    ...view,
    entries: withoutWithdrawn(entries, entry.event),
    ...conversationAfter(view, entry),
  };
}

const WITHDRAWING = /^(message|note)\.(recalled|redacted)$/;

/** What is taken back is emptied where it stands, as in the log: its entry keeps place, author and time. */
function withoutWithdrawn(entries: Entry[], { type, data }: DeskEvent): Entry[] {
  const how = WITHDRAWING.exec(type)?.[2];
  if (how === undefined) return entries;
  return entries.map((entry) =>
    isWritten(entry.event) && entry.event.data.msg_id === data.msg_id
      ? { ...entry, event: { ...entry.event, data: tombstone(entry.event.data, how) } }
      : entry,
  );
}

const isWritten = ({ type }: DeskEvent) => type === "message.posted" || type === "note.posted";

const tombstone = (data: any, how: string) => ({
  ...data,
  body: "",
  attachments: [],
  withdrawn: data.withdrawn ?? how,
});

function conversationAfter(view: ConversationView, entry: Entry): Partial<ConversationView> {
  const { event } = entry;
  if (event.conv !== null && event.conv !== view.conversation.conv_id) return {};
  const row = rowAfter(view.conversation, entry);
  const isOver = row.status !== "on_hold" && row.held_until !== null;
  const changed = isOver ? { ...row, held_until: null } : row;
  const isOld = versionIn(event.data) < view.conversation.version;
  const conversation = isOld ? changed : foldResolution(changed, event);
  return {
    conversation,
    participants: participantsAfter(view.participants, event),
    typing: typingAfter(view, event),
  };
}

/** The version that an event is of; what has none is never old. */
const versionIn = (data: any): number =>
  data?.version ?? data?.row?.version ?? Number.POSITIVE_INFINITY;

/** What only the conversation itself knows, not its row. */
function foldResolution(conversation: Conversation, { type, data }: DeskEvent): Conversation {
  switch (type) {
    case "conversation.resolved": {
      const { resolution_no } = data;
      const isNew = resolution_no > conversation.resolution_no;
      return isNew ? { ...conversation, resolution_no, rating: null } : conversation;
    }
    case "conversation.held":
      return { ...conversation, held_until: data.until };
    case "conversation.reopened": {
      const reopen_count = Math.max(conversation.reopen_count, data.reopen_count);
      return { ...conversation, closed_how: null, reopen_count };
    }
    case "conversation.closed":
      return { ...conversation, closed_how: data.how };
    case "rating.given": {
      const { resolution_no, score, reasons, comment } = data;
      if (resolution_no < conversation.resolution_no) return conversation;
      return { ...conversation, resolution_no, rating: { score, reasons, comment } };
    }
    default:
      return conversation;
  }
}

function participantsAfter(participants: Participant[], { type, data }: DeskEvent): Participant[] {
  const of = (each: Participant) => each.realm === data.realm && each.person.id === personId(data);
  if (type === "participant.joined") {
    const { realm, person, role, visible_from } = data;
    const joined = { realm, person, role, visible_from, left_at: null };
    return [...participants.filter((each) => !of(each)), joined];
  }
  if (type === "participant.left")
    return participants.map((each) => (of(each) ? { ...each, left_at: data.left_at } : each));
  return participants;
}

const personId = (data: any): string =>
  typeof data.person === "string" ? data.person : data.person?.id;

/** Who has said it has stopped typing it. */
function typingAfter(view: ConversationView, { type, by }: DeskEvent): ConversationView["typing"] {
  if (type !== "message.posted" && type !== "note.posted") return view.typing;
  return view.typing.filter((sign) => sign.by.id !== by?.id || sign.by.realm !== by?.realm);
}

function foldSigns(view: ConversationView, signs: Ephemeral[], stream: string): ConversationView {
  const staff = stream.endsWith(":staff");
  const cleared = {
    ...view,
    typing: view.typing.filter((sign) => (sign.mode === "note") !== staff),
    viewing: staff ? [] : view.viewing,
  };
  return signs.reduce(foldSign, cleared);
}

function foldSign(view: ConversationView, sign: Ephemeral): ConversationView {
  const over = sign.ttl_ms !== undefined && sign.ttl_ms !== null && sign.ttl_ms <= 0;
  const { data } = sign;
  if (sign.type === "marks") {
    const marks = data.person === undefined ? view.marks : marksAfter(view.marks, data);
    return marks === view.marks ? view : { ...view, marks };
  }
  if (sign.type === "typing") {
    const others = view.typing.filter(
      ({ by }) => by.id !== data.by.id || by.realm !== (data.by.realm ?? by.realm),
    );
    const mode = sign.stream.endsWith(":staff") ? "note" : "reply";
    return { ...view, typing: over ? others : [...others, { by: data.by, mode }] };
  }
  if (sign.type === "viewing") {
    const others = view.viewing.filter((person) => person.id !== data.agent.id);
    return { ...view, viewing: over ? others : [...others, data.agent] };
  }
  return view;
}

/** Marks only rise, whatever order they come in; read lifts delivered. */
function marksAfter(marks: Mark[], news: Partial<Mark> & Pick<Mark, "person" | "realm">): Mark[] {
  const of = (mark: Mark) => mark.person === news.person && mark.realm === news.realm;
  const before = marks.find(of) ?? { ...news, delivered: 0, read: 0, at: 0 };
  const read = Math.max(before.read, news.read ?? 0);
  const delivered = Math.max(before.delivered, news.delivered ?? 0, read);
  if (read === before.read && delivered === before.delivered && marks.some(of)) return marks;
  const { person, realm } = news;
  return [
    ...marks.filter((m) => !of(m)),
    { person, realm, delivered, read, at: news.at ?? before.at },
  ];
}

// --- rows ----------------------------------------------------------------------------------------------

/** A list line after an event of its conversation. The same event may come by several streams: that changes nothing. */
export function rowAfter<R extends Row>(row: R, entry: Entry): R {
  const { type, data } = entry.event;
  if (type === "message.posted") return messageRow(row, entry);
  if (WITHDRAWING.test(type)) return withdrawnRow(row, data);
  return { ...row, ...inOrder(row, entry), ...stateAfter(row, type, data) };
}

/** What the version counts, unless a later state is known already: streams do not wait for each other. */
function stateAfter(row: Row, type: string, data: any): Partial<Row> {
  const version = versionIn(data);
  if (version < row.version) return {};
  if (!Number.isFinite(version)) return changeOf(type, data);
  return { ...changeOf(type, data), version };
}

/**
 * What several events count together with messages, or one alone carries. Where all events of the conversation come in
 * their order it is as the last of them says, whatever a personal stream has told of later states.
 */
function inOrder(row: Row, { stream, event: { type, data } }: Entry): Partial<Row> {
  if (!/^(conv|queue):/.test(stream)) return {};
  switch (type) {
    case "conversation.moved":
      return { group: data.group };
    case "conversation.categorised":
      return { category: { ...row.category, id: data.category_id } };
    case "conversation.queued":
      return { waiting_since: data.waiting_since };
    case "conversation.reopened":
      return { waiting_since: data.row.waiting_since };
    case "conversation.resolved":
    case "conversation.closed":
      return { waiting_since: null };
    default:
      return {};
  }
}

/** A board's row has no position; whatever was the last text is not shown any more. */
function withdrawnRow<R extends Row>(row: R, data: any): R {
  const wasLast = "preview" in row && row.last_message?.msg_id === data.msg_id;
  return wasLast ? { ...row, preview: "" } : row;
}

function changeOf(type: string, data: any): Partial<Row> {
  switch (type) {
    case "conversation.queued":
    case "conversation.reopened":
      return { status: "queued", assignee: null };
    case "conversation.held":
      return { status: "on_hold", assignee: null };
    case "conversation.assigned":
      return { status: "active", assignee: data.agent };
    case "conversation.resolved":
      return { status: "resolved", assignee: null };
    case "conversation.closed":
      return { status: "closed", assignee: null };
    default:
      return {};
  }
}

function messageRow<R extends Row>(row: R, { stream, position, event }: Entry): R {
  const { data, at, by } = event;
  const realm = by?.realm ?? "agent";
  const here = stream.startsWith("conv:") ? position : 0;
  const last: LastMessage = { msg_id: data.msg_id, position: here, kind: data.kind, realm, at };
  const waiting_since = realm === "employee" ? (row.waiting_since ?? at) : null;
  const preview = "preview" in row ? { preview: previewOf(data.body) } : {};
  return { ...row, ...preview, last_message: last, turn: data.turn, waiting_since };
}

const PREVIEW_CHARS = 120;

export function previewOf(body: string): string {
  return Array.from(body).slice(0, PREVIEW_CHARS).join("");
}

const isOthers = ({ by }: DeskEvent, me: Me) => by?.id !== me.id || by?.realm !== me.realm;

const rowsById = (rows: RowView[]): Record<string, RowView> =>
  Object.fromEntries(rows.map((row) => [row.conv_id, row]));

// --- a board ---------------------------------------------------------------------------------------------

/** The unclosed conversations of one group, folded from its `queue:` stream. What I have not read only `foldMine` knows. */
export function foldBoard(view: BoardView | null, input: FoldInput<BoardSnapshot>): BoardView {
  if ("snapshot" in input) return { me: input.snapshot.me, rows: rowsById(input.snapshot.rows) };
  if (!view) throw new Error("a snapshot comes first");
  if (!("entry" in input)) return view;
  const { event, stream } = input.entry;
  const row = event.conv === null ? undefined : view.rows[event.conv];
  const hasLeft =
    event.type === "conversation.moved" && stream !== `queue:${event.data.row.group.id}`;
  if (!row) return event.data?.row && !hasLeft ? withRow(view, openedRow(event)) : view;
  if (event.type === "conversation.closed" || hasLeft) return without(view, row.conv_id);
  return withRow(view, rowAfter(row, input.entry));
}

const openedRow = (event: DeskEvent): RowView => ({ ...event.data.row, preview: null, unread: 0 });

const withRow = <V extends { rows: Record<string, RowView> }>(view: V, row: RowView): V => ({
  ...view,
  rows: { ...view.rows, [row.conv_id]: row },
});

const without = (view: BoardView, conv: string): BoardView => ({
  ...view,
  rows: omit(view.rows, conv),
});

function omit<T>(all: Record<string, T>, key: string): Record<string, T> {
  const { [key]: _, ...rest } = all;
  return rest;
}

// --- my conversations --------------------------------------------------------------------------------------

/**
 * The conversations I take part in, folded from my personal stream and their `conv:` streams. Closed ones stay, as
 * closed; what to show of them is the face's matter.
 */
export function foldMine(view: MineView | null, input: FoldInput<MineSnapshot>): MineView {
  if ("snapshot" in input) return openMine(input.snapshot);
  if (!view) throw new Error("a snapshot comes first");
  if ("entry" in input) return mineEntry(view, input.entry);
  if ("sign" in input) return ownSign(view, input.sign);
  const own = input.stream.startsWith("employee:");
  return input.signs.reduce(ownSign, own ? { ...view, places: {} } : view);
}

function openMine({ me, rows, marks, positions }: MineSnapshot): MineView {
  const unseen: MineView["unseen"] = {};
  for (const row of rows) unseen[row.conv_id] = unseenAt(row, positions);
  return { me, rows: rowsById(rows), marks, unseen, places: {}, missing: [], wanted: [] };
}

function unseenAt(row: RowView, positions: Positions): Unseen {
  const upTo = positions[`conv:${row.conv_id}`]?.[1] ?? row.last_message?.position ?? 0;
  return { old: row.unread, upTo, fresh: [] };
}

/** Rows that GET /rows gave for `missing`; `positions` of that answer are where to watch them from. */
export function withRows(view: MineView, rows: RowView[], positions: Positions = {}): MineView {
  let next = view;
  for (const row of rows.filter(({ conv_id }) => view.missing.includes(conv_id))) {
    const unseen = { ...next.unseen, [row.conv_id]: unseenAt(row, positions) };
    const missing = next.missing.filter((conv) => conv !== row.conv_id);
    next = withRow({ ...next, unseen, missing }, row);
  }
  return next;
}

function mineEntry(view: MineView, entry: Entry): MineView {
  const { event, stream } = entry;
  const conv = event.conv;
  if (conv === null) return view;
  const row = view.rows[conv];
  if (row) return mineRow(view, row, entry);
  if (event.data?.row && view.me.realm === "employee")
    return withWanted(withRow(view, openedRow(event)), conv);
  if (isMyLeaving(view, entry)) return { ...view, missing: view.missing.filter((m) => m !== conv) };
  const mine = stream.startsWith("agent:") && !view.missing.includes(conv);
  return mine && concernsMe(event, view.me) ? { ...view, missing: [...view.missing, conv] } : view;
}

function concernsMe({ type, data }: DeskEvent, me: Me): boolean {
  if (type === "participant.joined") return data.realm === "agent" && personId(data) === me.id;
  return type === "conversation.assigned" && data.agent?.id === me.id;
}

const withWanted = (view: MineView, conv: string): MineView =>
  view.wanted.includes(conv) ? view : { ...view, wanted: [...view.wanted, conv] };

function mineRow(view: MineView, row: RowView, entry: Entry): MineView {
  if (hasLeft(view, row, entry)) return withoutRow(view, row.conv_id);
  const after = rowAfter(row, entry);
  const unseen = unseenBy(view, row, entry);
  const next = unseen ? withUnseen(view, after, unseen) : withRow(view, after);
  // A closed one is not watched; it may be opened again from another device.
  const isBack = row.status === "closed" && after.status !== "closed";
  const watched = isBack && view.me.realm === "employee" ? withWanted(next, row.conv_id) : next;
  const isTaken = row.status === "queued" && after.status !== "queued";
  return isTaken ? withoutPlace(watched, row.conv_id) : watched;
}

/** I take part no longer. An older leaving may come late, after the row of my coming back. */
function hasLeft(view: MineView, row: RowView, entry: Entry): boolean {
  return isMyLeaving(view, entry) && entry.event.data.left_at > unseenOf(view, row).upTo;
}

/** By my own stream, on which my comings and goings are in order. */
const isMyLeaving = ({ me }: MineView, { stream, event }: Entry): boolean =>
  event.type === "participant.left" &&
  stream === `agent:${me.id}` &&
  personId(event.data) === me.id;

const withoutRow = (view: MineView, conv: string): MineView => ({
  ...view,
  rows: omit(view.rows, conv),
  unseen: omit(view.unseen, conv),
});

const withoutPlace = (view: MineView, conv: string): MineView => ({
  ...view,
  places: omit(view.places, conv),
});

/** What has not been read after this, or null where it is the same. */
function unseenBy(view: MineView, row: RowView, entry: Entry): Unseen | null {
  const { event, stream, position } = entry;
  const before = unseenOf(view, row);
  if (stream !== `conv:${row.conv_id}`) return null;
  if (WITHDRAWING.test(event.type)) {
    const fresh = before.fresh.filter(({ msg_id }) => msg_id !== event.data.msg_id);
    return fresh.length === before.fresh.length ? null : { ...before, fresh };
  }
  const counts = event.type === "message.posted" && isOthers(event, view.me);
  // A stream watched from its beginning tells again what the snapshot has counted.
  if (!counts || event.data.withdrawn !== undefined || position <= before.upTo) return null;
  const { msg_id } = event.data;
  return { ...before, fresh: [...before.fresh, { position, msg_id }] };
}

const unseenOf = (view: MineView, row: RowView): Unseen =>
  view.unseen[row.conv_id] ?? { old: row.unread, upTo: 0, fresh: [] };

function withUnseen(view: MineView, row: RowView, unseen: Unseen): MineView {
  const unread = unseen.old + unseen.fresh.length;
  const counted = { ...view, unseen: { ...view.unseen, [row.conv_id]: unseen } };
  return withRow(counted, { ...row, unread });
}

function ownSign(view: MineView, sign: Ephemeral): MineView {
  if (sign.type !== "queue_place") return ownMark(view, sign);
  const { conv, place, low_s, high_s, reason } = sign.data;
  const told: QueuePlace = { place, low_s, high_s, reason };
  return { ...view, places: { ...view.places, [conv]: told } };
}

/** My mark has moved, here or on another device. */
function ownMark(view: MineView, { type, data, stream }: Ephemeral): MineView {
  const conv = data?.conv;
  if (type !== "marks" || typeof conv !== "string" || stream.startsWith("conv:")) return view;
  const before = view.marks[conv] ?? { delivered: 0, read: 0 };
  const read = Math.max(before.read, data.read ?? 0);
  const delivered = Math.max(before.delivered, data.delivered ?? 0, read);
  const marked = { ...view, marks: { ...view.marks, [conv]: { read, delivered } } };
  const row = view.rows[conv];
  if (!row || read <= before.read) return marked;
  return withUnseen(marked, row, unseenAfter(unseenOf(view, row), row, read, data.unread));
}

/**
 * What the mark covers is read. Of those before the snapshot only their number is known: the server's count tells how
 * many are left of them; it may be older or newer than what was folded here, and never makes them more.
 */
function unseenAfter(unseen: Unseen, row: RowView, read: number, unread?: number): Unseen {
  const fresh = unseen.fresh.filter(({ position }) => position > read);
  const last = row.last_message?.position ?? 0;
  const covered = read >= unseen.upTo || (last > 0 && read >= last);
  if (covered) return { ...unseen, old: 0, fresh };
  if (unread === undefined) return { ...unseen, fresh };
  const old = Math.max(0, Math.min(unseen.old, unread - fresh.length));
  return { ...unseen, old, fresh };
}
