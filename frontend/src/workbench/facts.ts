/** What the context pane reads out of a conversation's entries. Pure. */
import type { ConversationView, Participant } from "@deskwire/client/desk";

/**
 * When the first public answer by an agent was given; null when there is none yet. `unknown` while earlier entries
 * are not loaded: the first answer may be among them.
 */
export function firstAnswerAt(view: ConversationView): number | null | "unknown" {
  if (view.more) return "unknown";
  const answer = view.entries.find(
    ({ event }) => event.type === "message.posted" && event.by?.realm === "agent",
  );
  return answer?.event.at ?? null;
}

/** Who asked comes first, the others as they came in. */
export function inOrder(participants: readonly Participant[]): Participant[] {
  const rank = (one: Participant) => (one.role === "requester" ? 0 : 1);
  return [...participants].sort((a, b) => rank(a) - rank(b) || a.visible_from - b.visible_from);
}
