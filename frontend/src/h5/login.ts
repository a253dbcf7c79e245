/**
 * The WeCom login, which the page runs by itself: away to WeCom and back to the same place. If a
 * login has just come back and the server still knows nobody, going again would go round for
 * ever, so the page then says that the browser keeps no login.
 */

import { type Route, returnAddress } from "./route";
import type { Router } from "./router";

const KEY = "deskwire:h5:login";
const ROUND_MS = 15_000;

export function loginAddress(route: Route): string {
  return `/login/employee?to=${encodeURIComponent(returnAddress(route))}`;
}

type Problem = "expired" | "denied" | "unavailable" | "blocked" | "failed";

/** Causes as the server names them, and our own: the browser keeps no login. */
const PROBLEMS = new Map<string, Problem>([
  ["expired", "expired"],
  ["code", "expired"],
  ["scope", "denied"],
  ["unreachable", "unavailable"],
  ["blocked", "blocked"],
]);

/** Which sentence a failed login gets; an unknown cause gets the general one. */
export function loginProblem(why: string): Problem {
  return PROBLEMS.get(why) ?? "failed";
}

/** True if a login was tried so short a time ago that trying again would go round in circles. */
export function isRound(triedAt: number | null, now: number): boolean {
  return triedAt !== null && now - triedAt >= 0 && now - triedAt < ROUND_MS;
}

/** Leaves for the login; never resolves, as the page is gone. Rejects when it stays. */
export function goToLogin(router: Router): Promise<never> {
  if (isRound(triedAt(), Date.now())) {
    forget();
    router.replace({ page: "login", why: "blocked" });
    return Promise.reject(new Error("the login did not hold"));
  }
  remember();
  location.assign(loginAddress(router.route.value));
  return new Promise(() => undefined);
}

/**
 * What the desk calls when the server wants a new login. One that is only about to end (no code
 * yet) is renewed while nobody looks, else at its end: WeCom takes the whole page for it.
 */
export function renewLogin(router: Router, why: number | null): Promise<void> {
  const isEarly = why === null && document.visibilityState === "visible";
  return isEarly ? Promise.reject(new Error("later")) : goToLogin(router);
}

/** The login holds: the next one may begin at once. */
export function loginHolds(): void {
  forget();
}

function triedAt(): number | null {
  try {
    const at = Number(sessionStorage.getItem(KEY) ?? Number.NaN);
    return Number.isFinite(at) ? at : null;
  } catch {
    return null;
  }
}

function remember(): void {
  try {
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {
    // Without storage the loop cannot be seen; WeCom's own limit ends it.
  }
}

function forget(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Nothing was kept.
  }
}
