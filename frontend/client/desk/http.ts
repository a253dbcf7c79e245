/** One HTTP request to the desk and what its answer means. */

export interface RefusalBody {
  code: string;
  message: string;
  detail: any;
  retry: "no" | "after_login" | "decide_anew" | "after_correction" | "same_id";
}

/** The server's "no". */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: any;
  readonly retry: RefusalBody["retry"];

  constructor(status: number, body: RefusalBody) {
    super(body.message || body.code);
    this.name = "Refusal";
    this.status = status;
    this.code = body.code;
    this.detail = body.detail ?? {};
    this.retry = body.retry;
  }

  get body(): RefusalBody {
    const { code, message, detail, retry } = this;
    return { code, message, detail, retry };
  }
}

/** No answer, or none of ours: nobody knows whether it was done. */
export class Unreachable extends Error {
  constructor(why: string) {
    super(why);
    this.name = "Unreachable";
  }
}

export type Request = <T>(
  method: "GET" | "POST",
  path: string,
  more?: { body?: unknown; commandId?: string },
) => Promise<T>;

const ANSWER_MS = 15_000;

/** Requests under `root`, which is `<origin>/api/<realm>`; `own` headers where no browser sends the login. */
export function requestsTo(
  root: string,
  client: string,
  own?: () => Record<string, string>,
): Request {
  return async <T>(
    method: "GET" | "POST",
    path: string,
    { body, commandId }: { body?: unknown; commandId?: string } = {},
  ): Promise<T> => {
    const headers: Record<string, string> = {
      ...own?.(),
      Accept: "application/json",
      "Deskwire-Client": client,
    };
    if (method === "POST") headers["Content-Type"] = "application/json";
    if (commandId) headers["Command-Id"] = commandId;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), ANSWER_MS);
    try {
      const sent = method === "POST" ? JSON.stringify(body ?? {}) : null;
      const answer = await fetch(root + path, {
        method,
        headers,
        body: sent,
        credentials: "same-origin",
        cache: "no-store",
        signal: stop.signal,
      });
      return readAnswer<T>(answer.status, await answer.text());
    } catch (error) {
      if (error instanceof Refusal || error instanceof Unreachable) throw error;
      throw new Unreachable(String(error));
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Pure: status and text → value, or throws Refusal or Unreachable. */
export function readAnswer<T>(status: number, text: string): T {
  let value: any;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (status >= 200 && status < 300 && value !== undefined) return value;
  if (value?.refusal?.code) throw new Refusal(status, value.refusal);
  if (status < 400 || status >= 500 || status === 408 || status === 429)
    throw new Unreachable(`answer ${status}`);
  const code = `http_${status}`;
  throw new Refusal(status, { code, message: code, detail: {}, retry: "no" });
}

/** May the same command go out again by itself, under the same id? */
export function isTransient(error: unknown): boolean {
  if (error instanceof Refusal)
    return error.retry === "same_id" || error.status === 503 || error.status === 429;
  return error instanceof Unreachable;
}

const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;

/** 1 … 30 s, later by up to a half at random, and not before the server asked for. */
export function retryDelay(failures: number, error: unknown, dice: () => number): number {
  const told = error instanceof Refusal ? Number(error.detail?.retry_after_s) * 1000 || 0 : 0;
  const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.max(0, failures - 1));
  return Math.min(BACKOFF_MAX_MS, Math.max(told, most * (1 + dice() / 2)));
}
