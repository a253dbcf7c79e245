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
  return { ...view, entries, ...conversationAfter(view, entry) };
}

function conversationAfter(view: ConversationView, entry: Entry): Partial<ConversationView> {
  const { event } = entry;
  if (event.conv !== null && event.conv !== view.conversation.conv_id) return {};
  const conversation = foldResolution(rowAfter(view.conversation, entry), event);
  return {
    conversation,
    participants: participantsAfter(view.participants, event),
    typing: typingAfter(view, event),
  };
}

/** What only the conversation itself knows, not its row. */
function foldResolution(conversation: Conversation, { type, data }: DeskEvent): Conversation {
  switch (type) {
    case "conversation.resolved":
      return { ...conversation, resolution_no: data.resolution_no };
    case "conversation.closed":
      return { ...conversation, closed_how: data.how };
    case "rating.given": {
      const { score, reasons, comment } = data;
      return { ...conversation, rating: { score, reasons, comment } };
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
  if (data?.version !== undefined && data.version < row.version) return row;
  return { ...row, ...changeOf(type, data), ...versionOf(data) };
}

const versionOf = (data: any): Partial<Row> =>
  data?.version === undefined ? {} : { version: data.version };

function changeOf(type: string, data: any): Partial<Row> {
  switch (type) {
    case "conversation.assigned":
      return { status: "active", assignee: data.agent };
    case "conversation.resolved":
      return { status: "resolved", assignee: null, waiting_since: null };
    case "conversation.closed":
      return { status: "closed", assignee: null, waiting_since: null };
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
  const { event } = input.entry;
  const row = event.conv === null ? undefined : view.rows[event.conv];
  if (event.type === "conversation.opened" && !row) return withRow(view, openedRow(event));
  if (!row) return view;
  if (event.type === "conversation.closed") return without(view, row.conv_id);
  return withRow(view, rowAfter(row, input.entry));
}

const openedRow = (event: DeskEvent): RowView => ({ ...event.data.row, preview: null, unread: 0 });

const withRow = <V extends { rows: Record<string, RowView> }>(view: V, row: RowView): V => ({
  ...view,
  rows: { ...view.rows, [row.conv_id]: row },
});

function without(view: BoardView, conv: string): BoardView {
  const { [conv]: _, ...rows } = view.rows;
  return { ...view, rows };
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
  if ("sign" in input) return ownMark(view, input.sign);
  return input.signs.reduce(ownMark, view);
}

function openMine({ me, rows, marks, positions }: MineSnapshot): MineView {
  const unseen: MineView["unseen"] = {};
  for (const row of rows) unseen[row.conv_id] = unseenAt(row, positions);
  return { me, rows: rowsById(rows), marks, unseen, missing: [], wanted: [] };
}

function unseenAt(row: RowView, positions: Positions): Unseen {
  const upTo = positions[`conv:${row.conv_id}`]?.[1] ?? row.last_message?.position ?? 0;
  return { old: row.unread, upTo, fresh: [] };
}

/** Rows that GET /rows gave for `missing`; `positions` of that answer are where to watch them from. */
export function withRows(view: MineView, rows: RowView[], positions: Positions = {}): MineView {
  let next = view;
  for (const row of rows) {
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
  if (event.type === "conversation.opened" && view.me.realm === "employee")
    return { ...withRow(view, openedRow(event)), wanted: [...view.wanted, conv] };
  const mine = stream.startsWith("agent:") && !view.missing.includes(conv);
  return mine && concernsMe(event, view.me) ? { ...view, missing: [...view.missing, conv] } : view;
}

function concernsMe({ type, data }: DeskEvent, me: Me): boolean {
  if (type === "participant.joined") return data.realm === "agent" && personId(data) === me.id;
  return type === "conversation.assigned" && data.agent?.id === me.id;
}

function mineRow(view: MineView, row: RowView, entry: Entry): MineView {
  const { event, stream, position } = entry;
  const after = rowAfter(row, entry);
  const counts =
    event.type === "message.posted" && stream === `conv:${row.conv_id}` && isOthers(event, view.me);
  if (!counts) return withRow(view, after);
  const before = unseenOf(view, row);
  return withUnseen(view, after, { ...before, fresh: [...before.fresh, position] });
}

const unseenOf = (view: MineView, row: RowView): Unseen =>
  view.unseen[row.conv_id] ?? { old: row.unread, upTo: 0, fresh: [] };

function withUnseen(view: MineView, row: RowView, unseen: Unseen): MineView {
  const unread = unseen.old + unseen.fresh.length;
  const counted = { ...view, unseen: { ...view.unseen, [row.conv_id]: unseen } };
  return withRow(counted, { ...row, unread });
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
  const fresh = unseen.fresh.filter((position) => position > read);
  const last = row.last_message?.position ?? 0;
  const covered = read >= unseen.upTo || (last > 0 && read >= last);
  if (covered) return { ...unseen, old: 0, fresh };
  if (unread === undefined) return { ...unseen, fresh };
  const old = Math.max(0, Math.min(unseen.old, unread - fresh.length));
  return { ...unseen, old, fresh };
}
