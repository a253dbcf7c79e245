/**
 * What the connection banner says, from the state of the connection and for how long there has
 * been trouble. A blip shows nothing: the banner appears after 1.5 s.
 */
import { closeText, t } from "../words/shared";

export interface ConnectionState {
  kind: "connecting" | "live" | "reconnecting" | "catching_up" | "offline" | "doubtful" | "stopped";
  code: number | null;
  /** Unix ms: when the last frame had come by then. */
  heardAt?: number | null;
}

/** The one button of a banner. */
export type BannerAction = "retry" | "login" | "reload" | "use_here";

export interface Banner {
  text: string;
  action: BannerAction | null;
  tone: "quiet" | "stopped";
  /** What is on screen may have been overtaken: the banner says as of when it holds. */
  isStale: boolean;
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
  const isLong = troubledMs >= RETRY_AFTER_MS;
  switch (state.kind) {
    case "offline":
      return { ...quiet(t("banner.offline")), isStale: true };
    case "doubtful":
      return quiet(t("banner.doubtful"));
    case "catching_up":
      return quiet(t("banner.catchingUp"));
    case "connecting":
      return { ...quiet(t("banner.connecting")), action: isLong ? "retry" : null };
    case "reconnecting":
      return {
        ...quiet(reconnectingText(state.code)),
        action: isLong ? "retry" : null,
        isStale: isLong,
      };
  }
}

function quiet(text: string): Banner {
  return { text, action: null, tone: "quiet", isStale: false };
}

function stoppedBanner(code: number | null): Banner {
  const action = code !== null && code in STOPPED ? (STOPPED[code] ?? null) : "reload";
  return { text: closeText(code ?? 4501), action, tone: "stopped", isStale: true };
}

function reconnectingText(code: number | null): string {
  return code !== null && TELLING.includes(code) ? closeText(code) : t("banner.reconnecting");
}
