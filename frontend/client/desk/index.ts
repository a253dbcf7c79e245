/** @deskwire/client/desk: the desk as a page uses it. */
export * from "./model.ts";

import type { Desk, DeskOptions } from "./desk.ts";

export { type OutboxItem, Refusal, type RefusalBody, type Reply, Unreachable } from "./commands.ts";
export type { Desk, DeskOptions, DeskState, Follow, Talk, Watch } from "./desk.ts";

import type {
  BoardSnapshot,
  BoardView,
  ConversationSnapshot,
  ConversationView,
  EntriesPage,
  Entry,
  FoldInput,
  Mark,
  Me,
  MessageStatus,
  MineSnapshot,
  MineView,
  RowView,
} from "./model.ts";

const soon = (): never => {
  throw new Error("not written yet");
};
export function openDesk(_o: DeskOptions): Desk {
  return soon();
}
export function foldConversation(
  _view: ConversationView | null,
  _input: FoldInput<ConversationSnapshot>,
): ConversationView {
  return soon();
}
/** Older entries, put in front. */
export function withEarlier(_view: ConversationView, _page: EntriesPage): ConversationView {
  return soon();
}
export function foldBoard(_view: BoardView | null, _input: FoldInput<BoardSnapshot>): BoardView {
  return soon();
}
export function foldMine(_view: MineView | null, _input: FoldInput<MineSnapshot>): MineView {
  return soon();
}
/** Rows that GET /rows gave for `missing`. */
export function withRows(_view: MineView, _rows: RowView[]): MineView {
  return soon();
}
export function compareEntries(_a: Entry, _b: Entry): number {
  return soon();
}
export function statusOf(_position: number, _marks: Mark[], _me: Me): MessageStatus {
  return soon();
}
