/**
 * Who is in: asks the server whether this browser holds a login, shows the form if not, and again when it ends.
 * A login that ends keeps the desk (its outbox waits); a logout closes it, and the next one begins afresh.
 */
import type { Desk, DeskOptions } from "@deskwire/client/desk";
import { type Ref, ref, type ShallowRef, shallowRef } from "vue";

export interface Self {
  id: string;
  name: string;
}

export type Stage =
  | { kind: "checking" }
  | { kind: "unreachable"; failure: unknown }
  | { kind: "login"; again: boolean }
  | { kind: "in"; me: Self };

export interface Entrance {
  stage: Readonly<Ref<Stage>>;
  desk: Readonly<ShallowRef<Desk>>;
  check(): Promise<void>;
  login(name: string, password: string): Promise<void>;
  /** The server ended the login: ask for a new one, keep the desk. */
  askAgain(): void;
  logout(): Promise<void>;
  /** Logged out, here or in another tab: the form, and a new desk. */
  leave(): void;
}

const LOGIN_EXPIRED = 4005;

export function useEntrance(
  open: (login: DeskOptions["login"]) => Desk,
  startAnew: () => void,
): Entrance {
  const stage = shallowRef<Stage>({ kind: "checking" });
  const desk = shallowRef(open(relogin));
  const before = ref<string | null>(null);
  let waiting: (() => void)[] = [];

  async function check(): Promise<void> {
    stage.value = { kind: "checking" };
    try {
      enter((await desk.value.post<{ me: Self }>("/me", {})).me);
    } catch (failure) {
      const isAnswer = typeof (failure as { code?: unknown }).code === "string";
      stage.value = isAnswer ? { kind: "login", again: false } : { kind: "unreachable", failure };
    }
  }

  async function login(login_name: string, password: string): Promise<void> {
    enter((await desk.value.post<{ me: Self }>("/login", { login_name, password })).me);
  }

  function enter(me: Self): void {
    // Everything on screen and in the outbox belongs to the one who was here.
    if (before.value !== null && before.value !== me.id) {
      startAnew();
      return;
    }
    const isReturn = before.value !== null;
    before.value = me.id;
    stage.value = { kind: "in", me };
    if (isReturn) desk.value.retryNow();
    const told = waiting;
    waiting = [];
    for (const tell of told) tell();
  }

  /** The client asks for a login: a quiet renewal where that will do, else the form. */
  async function relogin(why: number | null): Promise<void> {
    if (why === null || why === LOGIN_EXPIRED) {
      try {
        await desk.value.post("/renew", {});
        return;
      } catch (failure) {
        const isOver = (failure as { code?: unknown }).code === "login_required";
        if (why === null || !isOver) throw failure;
      }
    }
    askAgain();
    await new Promise<void>((resolve) => waiting.push(resolve));
  }

  function askAgain(): void {
    if (stage.value.kind !== "login") stage.value = { kind: "login", again: before.value !== null };
  }

  async function logout(): Promise<void> {
    await desk.value.post("/logout", {});
    leave();
  }

  function leave(): void {
    desk.value.close();
    desk.value = open(relogin);
    before.value = null;
    waiting = [];
    stage.value = { kind: "login", again: false };
  }

  return { stage, desk, check, login, askAgain, logout, leave };
}
