/** What I may write in a conversation, and which mode the composer starts in. Pure. */
import type { Conversation, Participant } from "@deskwire/client/desk";
import type { Mode } from "./drafts";

/** `open`: replies go out. The others say what stands before a reply; a note is always possible. */
export type ReplyState = "open" | "claim_first" | "join_first" | "closed" | "own";

export function isParticipant(participants: readonly Participant[], me: string): boolean {
  return participants.some(
    ({ realm, person, left_at }) => realm === "agent" && person.id === me && left_at === null,
  );
}

export function replyState(
  conversation: Conversation,
  participants: readonly Participant[],
  me: string,
): ReplyState {
  if (conversation.status === "closed") return "closed";
  // Nobody is agent participant of a conversation they requested themselves.
  if (conversation.requester.id === me) return "own";
  if (conversation.status === "queued") return "claim_first";
  return isParticipant(participants, me) ? "open" : "join_first";
}

/** Who only looks on writes a note. In the queue and at the end the reply's place says what holds it back. */
export function firstMode(state: ReplyState): Mode {
  return state === "join_first" || state === "own" ? "note" : "reply";
}

export interface Acts {
  claim: boolean;
  join: boolean;
  resolve: boolean;
}

/** Which buttons the header has. What is not possible is not there. */
export function actsOf(
  conversation: Conversation,
  participants: readonly Participant[],
  me: { id: string; role: string },
): Acts {
  const state = replyState(conversation, participants, me.id);
  const isAssignee = conversation.assignee?.id === me.id;
  const isActive = conversation.status === "active";
  return {
    claim: state === "claim_first",
    join: state === "join_first",
    resolve: isActive && (isAssignee || (me.role !== "agent" && state !== "own")),
  };
}
