/**
 * What the connection banner says, from the state of the connection and for how long there has
 * been trouble. A blip shows nothing: the banner appears after 1.5 s.
 */
import { closeText, t } from "../words/shared";

export interface ConnectionState {
  kind: "connecting" | "live" | "reconnecting" | "catching_up" | "offline" | "doubtful" | "stopped";
  code: number | null;
}

/** The one button of a banner. */
export type BannerAction = "retry" | "login" | "reload" | "use_here";

export interface Banner {
  text: string;
  action: BannerAction | null;
  tone: "quiet" | "stopped";
}

export const SHOW_AFTER_MS = 1500;
export const RETRY_AFTER_MS = 10_000;

const STOPPED: Record<number, BannerAction | null> = {
  4500: "login",
  4503: null,
  4504: "use_here",
  4505: "use_here",
  4506: null,
  4507: "login",
};

/** Codes whose text says more than 正在重连…. */
const TELLING = [4002, 4005, 4006, 4009];

/** `troubledMs`: how long the connection has not been live. */
export function bannerOf(state: ConnectionState, troubledMs: number): Banner | null {
  if (state.kind === "live") return null;
  if (state.kind === "stopped") return stoppedBanner(state.code);
  if (troubledMs < SHOW_AFTER_MS) return null;
  const retry = troubledMs >= RETRY_AFTER_MS ? "retry" : null;
  switch (state.kind) {
    case "offline":
      return { text: t("banner.offline"), action: null, tone: "quiet" };
    case "doubtful":
      return { text: t("banner.doubtful"), action: null, tone: "quiet" };
    case "catching_up":
      return { text: t("banner.catchingUp"), action: null, tone: "quiet" };
    case "connecting":
      return { text: t("banner.connecting"), action: retry, tone: "quiet" };
    case "reconnecting":
      return { text: reconnectingText(state.code), action: retry, tone: "quiet" };
  }
}

function stoppedBanner(code: number | null): Banner {
  const action = code !== null && code in STOPPED ? (STOPPED[code] ?? null) : "reload";
  return { text: closeText(code ?? 4501), action, tone: "stopped" };
}

function reconnectingText(code: number | null): string {
  return code !== null && TELLING.includes(code) ? closeText(code) : t("banner.reconnecting");
}
