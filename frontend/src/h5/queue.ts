/** Where somebody stands in the queue, in words: an estimate where it is fair, else why they wait. Pure. */
import type { QueuePlace } from "@deskwire/client/desk";
import { t } from "../words/h5";

const REASONS = [
  "none_online",
  "all_at_capacity",
  "closed_hours",
  "waiting_for_preferred",
] as const;

export function placeText({ place, low_s, high_s, reason }: QueuePlace): string {
  if (low_s !== null && high_s !== null) {
    return t("queued.wait", place, Math.round(low_s / 60), Math.round(high_s / 60));
  }
  const known = REASONS.find((each) => each === reason);
  return known ? t("queued.because", place, t(`queued.${known}`)) : t("queued.place", place);
}
