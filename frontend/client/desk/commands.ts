/** Commands: one POST, or the outbox; and who waits for a new login meanwhile. */
import { commandId } from "../ids.ts";
import { isTransient, Refusal, type Request, retryDelay } from "./http.ts";
import type { Command, Outbox, Reply } from "./outbox.ts";
import { NEW } from "./outbox.ts";

export interface CommandOptions {
  conv?: string;
  args: object;
  commandId?: string;
  durable?: boolean;
}

const TRIES = 4;

/** One login at a time, whoever asks for it. */
export class LoginGate {
  private running: Promise<void> | null = null;
  private readonly login: (why: number | null) => Promise<void>;

  constructor(login: (why: number | null) => Promise<void>) {
    this.login = login;
  }

  enter(why: number | null): Promise<void> {
    if (why === null) return this.login(null);
    this.running ??= this.login(why).finally(() => {
      this.running = null;
    });
    return this.running;
  }
}

/** Once more after a new login, if the server asks for one. */
export async function withLogin<T>(gate: LoginGate, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Refusal) || error.retry !== "after_login") throw error;
    await gate.enter(4500).catch(() => {
      throw error;
    });
    return ask();
  }
}

export class Commands {
  private readonly request: Request;
  private readonly gate: LoginGate;
  private readonly replied: (reply: Reply) => void;

  constructor(request: Request, gate: LoginGate, replied: (reply: Reply) => void) {
    this.request = request;
    this.gate = gate;
    this.replied = replied;
  }

  /** One POST. */
  async send({ commandId, conv, name, args }: Command): Promise<Reply> {
    const body = conv === NEW ? { name, args } : { name, conv, args };
    const more = { body, commandId };
    const post = () => this.request<Reply>("POST", "/commands", more);
    const reply = await withLogin(this.gate, post);
    this.replied(reply);
    return reply;
  }

  /** Not kept on the device: tried a few times under one id, then the caller hears why not. */
  async sendNow(command: Command): Promise<Reply> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.send(command);
      } catch (error) {
        if (tries >= TRIES || !isTransient(error)) throw error;
        await pause(retryDelay(tries, error, Math.random));
      }
    }
  }

  run(outbox: Outbox, name: string, o: CommandOptions): Promise<Reply> {
    const id = o.commandId ?? commandId();
    const command = { commandId: id, conv: o.conv ?? NEW, name, args: o.args };
    return o.durable ? outbox.add(command) : this.sendNow(command);
  }
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
