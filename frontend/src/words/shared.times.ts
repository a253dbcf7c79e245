/**
 * Times and spans in words. Every instant is Unix milliseconds; "today" is the reader's own day.
 * `now` is always an argument: the server's clock where the caller has it.
 */
import { t } from "./shared";
import { type Language, language } from "./words";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const formats = new Map<string, Intl.DateTimeFormat>();

/** 10:32 */
export function clockText(at: number): string {
  return format(at, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** The day as a divider: 今天, 昨天, 11月20日 星期五; another year is named. */
export function dayText(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0) return t("time.today");
  if (days === 1) return t("time.yesterday");
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return format(at, {
    year: sameYear ? undefined : "numeric",
    month: "long",
    day: "numeric",
    weekday: "long",
  });
}

/** The time in a list line: the clock today, else the day, as short as can be. */
export function listTimeText(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0) return clockText(at);
  if (days === 1) return t("time.yesterday");
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return format(at, {
    year: sameYear ? undefined : "numeric",
    month: sameYear ? "short" : "numeric",
    day: "numeric",
  });
}

/** A whole instant, for titles and details. */
export function instantText(at: number): string {
  return format(at, {
    year: "numeric",
    month: "long",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
}

/** A span in its largest fitting unit: 40 秒, 3 分钟, 2 小时, 5 天. */
export function spanText(ms: number): string {
  const span = Math.max(0, ms);
  if (span < MINUTE) return t("time.seconds", Math.floor(span / 1000));
  if (span < HOUR) return t("time.minutes", Math.floor(span / MINUTE));
  if (span < DAY) return t("time.hours", Math.floor(span / HOUR));
  return t("time.days", Math.floor(span / DAY));
}

/** True if both instants fall on the same day of the reader's calendar. */
export function isSameDay(one: number, other: number): boolean {
  return daysBetween(one, other) === 0;
}

function daysBetween(at: number, now: number): number {
  return Math.round((midnight(now) - midnight(at)) / DAY);
}

function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

function format(at: number, options: Intl.DateTimeFormatOptions): string {
  return formatOf(language.value, options).format(at);
}

function formatOf(chosen: Language, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = chosen + JSON.stringify(options);
  let made = formats.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(chosen === "en" ? "en-GB" : "zh-CN", options);
    formats.set(key, made);
  }
  return made;
}
