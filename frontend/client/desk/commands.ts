import type { Positions } from "../wire.ts";

export interface RefusalBody {
  code: string;
  message: string;
  detail: any;
  retry: "no" | "after_login" | "decide_anew" | "after_correction" | "same_id";
}

export interface Reply {
  result: any;
  positions: Positions;
  command_id: string;
}

export interface OutboxItem {
  commandId: string;
  conv: string;
  name: string;
  args: any;
  at: number;
  state: "sending" | "waiting" | "failed";
  /** failed without a refusal: older than 24 h, ask before it goes out. */
  refusal: RefusalBody | null;
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
}

/** No answer, or none of ours. */
export class Unreachable extends Error {
  constructor(why: string) {
    super(why);
    this.name = "Unreachable";
  }
}
