/** The five scores and the reasons that fit a score. Reasons go to the server as words. */
import { t } from "../words/h5";

export const scores = [1, 2, 3, 4, 5] as const;
export type Score = (typeof scores)[number];

/** Characters the server takes in a comment. */
export const COMMENT_MAX = 500;

const LOW = [
  "notSolved",
  "longWait",
  "slow",
  "unfriendly",
  "unclear",
  "repeated",
  "incompetent",
  "other",
] as const;
const FAIR = ["partly", "longWait", "slow", "unclear", "complex", "other"] as const;
const HIGH = ["solved", "quick", "friendly", "clear", "competent", "patient"] as const;

/** At most eight; the set follows the score. */
export function reasonsFor(score: Score): readonly string[] {
  const set = score <= 2 ? LOW : score === 3 ? FAIR : HIGH;
  return set.map((reason) => t(`reason.${reason}`));
}

export function scoreWord(score: number): string {
  return scores.includes(score as Score) ? t(`rating.${score as Score}`) : "";
}
