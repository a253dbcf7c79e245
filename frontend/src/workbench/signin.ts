/**
 * The way in by WeCom's QR code: whether this desk has it, where it begins, and that it failed. The page is left for it;
 * what was not sent is kept on the device, as over any reload.
 */
import type { Desk } from "@deskwire/client/desk";
import type { Language } from "../words/words";
import { convOf, pathOf } from "./route";

/** False also where the server does not say: the password is asked for in any case. */
export async function hasWecom(desk: Pick<Desk, "get">): Promise<boolean> {
  try {
    return (await desk.get<{ wecom?: unknown }>("/login")).wecom === true;
  } catch {
    return false;
  }
}

/** Away to WeCom, and back to the same conversation. */
export function signinAddress(pathname: string, language: Language): string {
  const lang = language === "en" ? "en" : "zh";
  return `/login/agent?to=${encodeURIComponent(pathOf(convOf(pathname)))}&lang=${lang}`;
}

/** The server never says why: that would tell who is an agent. */
export function isRefused(search: string): boolean {
  return new URLSearchParams(search).get("login") === "failed";
}
