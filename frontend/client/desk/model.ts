/** What the server says and the pages show: the shapes of HTTP answers and of events. No behaviour. */
import type { Ephemeral, Place, Positions } from "../wire.ts";

export type { Ephemeral, Place, Positions };

export type Realm = "agent" | "employee";

/** Who reads this page: `me` of `/boot`, or as much of it. */
export interface Me {
  realm: Realm;
  id: string;
}

export interface PersonRef {
  id: string;
  name: string;
  avatar: string | null;
}

export interface Requester extends PersonRef {
  department: string;
}

export interface By extends PersonRef {
  realm: Realm;
}

export interface DeskEvent {
  id: string;
  type: string;
  v: number;
  at: number;
  conv: string | null;
  /** null: a timer did it. */
  by: By | null;
  /** Staff events only: the head of `conv:<id>` when it was decided, which is its place among the public ones. */
  anchor?: number;
  data: any;
}

/** An event where it stands: the fields of the socket's `event` frame. */
export interface Entry {
  stream: string;
  position: number;
  event: DeskEvent;
}

export type Status = "queued" | "active" | "on_hold" | "resolved" | "closed";
export type Turn = "agent" | "employee";

export interface LastMessage {
  msg_id: string;
  /** On `conv:<id>`. 0 where the reader cannot know it: a row folded from a board's events. */
  position: number;
  kind: "text";
  realm: Realm;
  at: number;
}

export interface Row {
  conv_id: string;
  no: string;
  requester: Requester;
  group: { id: string; name: string };
  category: { id: string; name_zh: string; name_en: string };
  status: Status;
  assignee: PersonRef | null;
  turn: Turn;
  waiting_since: number | null;
  opened_at: number;
  version: number;
  last_message: LastMessage | null;
}

export interface RowView extends Row {
  preview: string | null;
  unread: number;
}

/** How far one reader is on `conv:<id>`. To employees all agents are one reader, `staff`. */
export interface Mark {
  person: string;
  realm: Realm;
  delivered: number;
  read: number;
  at: number;
}

/** My own mark on a conversation, as `/boot` gives it. */
export interface OwnMark {
  delivered: number;
  read: number;
}

export interface Participant {
  realm: Realm;
  person: PersonRef;
  role: "requester" | "agent" | "invited";
  visible_from: number;
  left_at: number | null;
}

export interface Rating {
  score: number;
  reasons: string[];
  comment: string;
}

export interface Conversation extends Row {
  resolution_no: number;
  closed_how: string | null;
  previous_id: string | null;
  held_until: number | null;
  reopen_count: number;
  rating: Rating | null;
}

/** GET /conversations/{id} */
export interface ConversationSnapshot {
  conversation: Conversation;
  participants: Participant[];
  marks: Mark[];
  entries: Entry[];
  more: boolean;
  positions: Positions;
}

/** GET /conversations/{id}/messages */
export interface EntriesPage {
  entries: Entry[];
  more: boolean;
}

export interface Category {
  id: string;
  name_zh: string;
  name_en: string;
  group_id: string;
  order: number;
}

/** GET /api/employee/boot */
export interface EmployeeBoot {
  now: number;
  me: PersonRef & { realm: "employee"; department: string; language: string | null };
  until: number;
  settings: { text_chars_max: number };
  categories: Category[];
  rows: RowView[];
  marks: Record<string, OwnMark>;
  positions: Positions;
}

export type Presence = "connected" | "grace" | "lost";

export interface AgentRef extends PersonRef {
  role: string;
  availability: string;
  load: number;
  capacity: number;
}

/** GET /api/agent/boot */
export interface AgentBoot {
  now: number;
  me: AgentRef & {
    realm: "agent";
    login_name: string;
    language: string | null;
    groups: string[];
  };
  until: number;
  settings: { text_chars_max: number };
  categories: Category[];
  groups: { id: string; name: string }[];
  agents: (AgentRef & { presence: Presence })[];
  boards: Record<string, RowView[]>;
  rows: RowView[];
  marks: Record<string, OwnMark>;
  positions: Positions;
}

/** What a fold takes. `signs` replaces all that stood for the stream; `sign` is one more, newest per key. */
export type FoldInput<S> =
  | { snapshot: S }
  | { entry: Entry }
  | { signs: Ephemeral[]; stream: string }
  | { sign: Ephemeral };

export interface TypingSign {
  by: By;
  mode: "reply" | "note";
}

export interface ConversationView {
  conversation: Conversation;
  participants: Participant[];
  marks: Mark[];
  /** In timeline order (compareEntries), without repeats. */
  entries: Entry[];
  /** Earlier ones exist on the server. */
  more: boolean;
  typing: TypingSign[];
  viewing: PersonRef[];
}

/** The unclosed conversations of one group, from `queue:<group>`. */
export interface BoardSnapshot {
  me: Me;
  rows: RowView[];
}

export interface BoardView {
  me: Me;
  rows: Record<string, RowView>;
}

/** `/boot` of either realm fits. */
export interface MineSnapshot {
  me: Me;
  rows: RowView[];
  marks: Record<string, OwnMark>;
  positions: Positions;
}

/** What the unread number of a row is made of: `old` of the snapshot and the messages folded since. */
export interface Unseen {
  old: number;
  upTo: number;
  fresh: { position: number; msg_id: string }[];
}

/** Where a requester stands in the queue. Without a fair estimate `reason` says why they wait. */
export interface QueuePlace {
  place: number;
  low_s: number | null;
  high_s: number | null;
  reason: string | null;
}

export interface MineView {
  me: Me;
  rows: Record<string, RowView>;
  marks: Record<string, OwnMark>;
  /** By conversation; the face has no use for it, `row.unread` is the number. */
  unseen: Record<string, Unseen>;
  /** By conversation, while it waits in the queue. Employees only. */
  places: Record<string, QueuePlace>;
  /** I take part and have no row: ask GET /rows?ids= and fold it in with `withRows`. Agents only. */
  missing: string[];
  /** New conversations of mine: watch these too, from their first event. Employees only. */
  wanted: string[];
}

export type MessageStatus = "sent" | "delivered" | "read";
