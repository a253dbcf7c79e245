/** When, and whether, to come back after a connection has ended. Pure; the table of codes decides. */
import { meaning } from "./contract/codes.ts";

export type Plan =
  | { is: "wait"; leastMs: number; moreMs: number }
  | { is: "renew"; why: number }
  | { is: "stop"; code: number };

const FIRST_MS = 1_000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;
/** A connection that lived this long was a good one: delays begin anew. */
const SETTLED_MS = 30_000;
/** "At once" more often than this would be a storm of our own. */
const AT_ONCE_MAX = 3;
const LOGINS_MAX = 2;

export class Comeback {
  private attempt = 0;
  private logins = 0;
  private readonly dice: () => number;

  constructor(dice: () => number) {
    this.dice = dice;
  }

  /** The server has greeted, or a person asks for another try: the login may be asked for again. */
  greeted(): void {
    this.logins = 0;
  }

  lived(ms: number): void {
    if (ms >= SETTLED_MS) this.attempt = 0;
  }

  /** After this end; `retry` is what `bye` said. */
  after(code: number, retry: [number, number] | null): Plan {
    const [, again, wait, least, most] = meaning(code);
    if (code === 4500 || again === "renew") return this.renew(code);
    if (again === "stop") return { is: "stop", code };
    if (retry) return waits(retry[0], this.dice() * Math.max(0, retry[1] - retry[0]));
    if (wait !== "range" || this.attempt >= AT_ONCE_MAX) return waits(least, this.backoff());
    this.attempt += 1;
    return waits(least, this.dice() * (most - least));
  }

  /** After a socket that never opened; what POST /me answered, 0 for nothing. */
  afterAnswer(status: number, retryAfterMs: number): Plan {
    if (status === 401) return this.renew(4500);
    if (status === 403) return { is: "stop", code: 4503 };
    return waits(retryAfterMs, this.backoff());
  }

  private renew(why: number): Plan {
    this.logins += 1;
    return this.logins > LOGINS_MAX ? { is: "stop", code: 4500 } : { is: "renew", why };
  }

  private backoff(): number {
    const k = this.attempt;
    this.attempt += 1;
    return this.dice() * (k ? Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** k) : FIRST_MS);
  }
}

const waits = (leastMs: number, moreMs: number): Plan => ({ is: "wait", leastMs, moreMs });
