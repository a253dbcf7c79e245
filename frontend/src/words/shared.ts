/** The shared words, and the words of things that come with a code: refusals, close codes. */
import { en } from "./shared.en";
import { zh } from "./shared.zh-CN";
import { wordsOf } from "./words";

export const t = wordsOf(zh, en);

export type SharedKey = keyof typeof zh;

export const statuses = ["queued", "active", "on_hold", "resolved", "closed"] as const;
export type StatusWord = (typeof statuses)[number];

/** A conversation's status in words; a status from a newer server is shown as it is. */
export function statusText(status: string): string {
  return statuses.includes(status as StatusWord) ? t(`status.${status as StatusWord}`) : status;
}

interface RefusalLike {
  code: string;
  detail?: unknown;
}

/** What to tell the person about a "no" from the server. */
export function refusalText(refusal: RefusalLike): string {
  const detail = (refusal.detail ?? {}) as Record<string, unknown>;
  switch (refusal.code) {
    case "already_taken":
      return t("refusal.already_taken", (detail.by as { name?: string } | undefined)?.name ?? "");
    case "wrong_state":
      return t("refusal.wrong_state", statusText(String(detail.status ?? "")));
    case "too_large":
      return t("refusal.too_large", Number(detail.max ?? 4000));
    default:
      return plainRefusal(refusal.code);
  }
}

function plainRefusal(code: string): string {
  const key = `refusal.${code}`;
  const word = key in zh ? zh[key as SharedKey] : undefined;
  return typeof word === "string" ? t(key as "refusal.closed") : t("refusal.unknown");
}

/** The text for a failure of any kind: a refusal by its code, anything else as "no network". */
export function failureText(failure: unknown): string {
  const code = (failure as { code?: unknown } | null)?.code;
  return typeof code === "string" ? refusalText(failure as RefusalLike) : t("unreachable");
}

/** The text for a close code; an unknown code is read by its range (4500 and above: stop). */
export function closeText(code: number): string {
  const key = `close.${code}`;
  if (key in zh) return t(key as "close.4500");
  if (code >= 4500 || [1002, 1003, 1007, 1009].includes(code)) return t("close.stop");
  return t("close.comeBack");
}
