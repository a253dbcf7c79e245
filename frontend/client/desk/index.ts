/** @deskwire/client/desk: the desk as a page uses it. */
export type { CommandOptions } from "./commands.ts";
export {
  type Desk,
  type DeskOptions,
  type DeskState,
  type Follow,
  openDesk,
  type Talk,
  type Watch,
} from "./desk.ts";
export {
  compareEntries,
  foldBoard,
  foldConversation,
  foldMine,
  previewOf,
  statusOf,
  withEarlier,
  withRows,
} from "./fold.ts";
export { isTransient, Refusal, type RefusalBody, retryDelay, Unreachable } from "./http.ts";
export * from "./model.ts";
export type { OutboxItem, Reply } from "./outbox.ts";
