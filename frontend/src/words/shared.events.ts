/**
 * State events as one quiet line of the timeline, in the reader's language. An event type without
 * a line here shows nothing: the timeline does not guess.
 */
import { t } from "./shared";

interface EventLike {
  type: string;
  by: { realm: string; id: string; name: string } | null;
  data: unknown;
}

interface PersonLike {
  id: string;
  name: string;
}

/** Who reads: an own act is said as "you". */
export interface Reader {
  realm: string;
  id: string;
}

/** The line for a state event, or null where the event has no line of its own. */
export function eventLine(event: EventLike, reader: Reader): string | null {
  const data = (event.data ?? {}) as Record<string, unknown>;
  const mine = event.by?.realm === reader.realm && event.by.id === reader.id;
  switch (event.type) {
    case "conversation.opened":
      return mine ? t("event.openedByMe") : t("event.opened", event.by?.name ?? "");
    case "participant.joined":
      return joinedLine(data);
    case "participant.left":
      return t("event.left", (data.person as PersonLike).name);
    case "conversation.queued":
      return queuedLine(data.cause);
    case "conversation.moved":
      return t("event.moved", (data.group as PersonLike).name);
    case "conversation.held":
      return t("event.held");
    case "conversation.resumed":
      return t("event.resumed");
    case "conversation.reopened":
      return mine ? t("event.reopenedByMe") : t("event.reopened", event.by?.name ?? "");
    case "requester.reminded":
      return t("event.reminded");
    case "conversation.assigned":
      return assignedLine(data.agent as PersonLike, reader);
    case "conversation.resolved":
      if (!event.by || data.how !== "agent") return t("event.resolvedBySystem");
      return mine ? t("event.resolvedByMe") : t("event.resolved", event.by.name);
    case "conversation.closed":
      return closedLine(data.how, mine);
    case "rating.given":
      return mine ? t("event.ratedByMe", Number(data.score)) : t("event.rated", Number(data.score));
    default:
      return null;
  }
}

/** The requester is there from the start, and an assigned agent's line says it already. */
function joinedLine(data: Record<string, unknown>): string | null {
  const person = data.person as PersonLike | undefined;
  if (data.role === "requester" || !person) return null;
  return t("event.joined", person.name);
}

/** After a move or a reopening the line before says it already. */
function queuedLine(cause: unknown): string | null {
  if (cause === "transfer" || cause === "reopened") return null;
  return cause === "agent_lost" ? t("event.agentLost") : t("event.queued");
}

/** What stands in the place of a message that was taken back, or null where it was not. */
export function withdrawnLine({ by, data }: EventLike, reader: Reader): string | null {
  const how = (data as { withdrawn?: string } | null)?.withdrawn;
  if (how === undefined) return null;
  if (how !== "recalled") return t("event.redacted");
  const mine = by?.realm === reader.realm && by.id === reader.id;
  return mine ? t("event.recalledByMe") : t("event.recalled", by?.name ?? "");
}

function assignedLine(agent: PersonLike, reader: Reader): string {
  const me = reader.realm === "agent" && reader.id === agent.id;
  return me ? t("event.assignedToMe") : t("event.assigned", agent.name);
}

function closedLine(how: unknown, mine: boolean): string {
  switch (how) {
    case "confirmed":
      return mine ? t("event.closedConfirmedByMe") : t("event.closedConfirmed");
    case "rated":
      return mine ? t("event.closedRatedByMe") : t("event.closedRated");
    case "cancelled":
      return mine ? t("event.closedCancelledByMe") : t("event.closedCancelled");
    default:
      return t("event.closed");
  }
}
