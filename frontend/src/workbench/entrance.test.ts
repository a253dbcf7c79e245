import type { Desk } from "@deskwire/client/desk";
import { describe, expect, test } from "vitest";
import { useEntrance } from "./entrance";

const lina = { id: "lina", name: "李娜" };
const wang = { id: "wangqiang", name: "王强" };
const wrong = { code: "login_required" };

type Answer = (path: string, body: unknown) => unknown;

/** A desk that answers posts from a script; it is the network's edge, not our own code. */
function entranceWith(answer: Answer) {
  const made: { closed: boolean; login: (why: number | null) => Promise<void> }[] = [];
  const script = { answer };
  let restarts = 0;
  const entrance = useEntrance(
    (login) => {
      const state = { closed: false, login };
      made.push(state);
      return {
        post: async (path: string, body: unknown) => script.answer(path, body),
        retryNow: () => undefined,
        close: () => {
          state.closed = true;
        },
      } as unknown as Desk;
    },
    () => {
      restarts += 1;
    },
  );
  return { entrance, made, script, restarts: () => restarts };
}

function fail(failure: unknown): never {
  throw failure;
}

describe("the entrance", () => {
  test("a browser that holds a login goes straight in", async () => {
    const { entrance } = entranceWith(() => ({ me: lina }));

    await entrance.check();

    expect(entrance.stage.value).toEqual({ kind: "in", me: lina });
  });

  test("without a login there is the form, without a server the fault", async () => {
    const { entrance, script } = entranceWith(() => fail(wrong));
    await entrance.check();
    expect(entrance.stage.value).toEqual({ kind: "login", again: false });

    const down = new Error("no network");
    script.answer = () => fail(down);
    await entrance.check();
    expect(entrance.stage.value).toEqual({ kind: "unreachable", failure: down });
  });

  test("a wrong password leaves the form where it is", async () => {
    const { entrance } = entranceWith(() => fail(wrong));
    await entrance.check();

    await expect(entrance.login("lina", "no")).rejects.toBe(wrong);

    expect(entrance.stage.value.kind).toBe("login");
  });

  test("a login that is about to end is renewed without a word", async () => {
    const { entrance, made, script } = entranceWith(() => ({ me: lina }));
    await entrance.check();
    const asked: string[] = [];
    script.answer = (path) => asked.push(path);

    await made[0]?.login(null);

    expect(asked).toEqual(["/renew"]);
    expect(entrance.stage.value.kind).toBe("in");
  });

  test("one that cannot be renewed brings the form, and its answer lets the client go on", async () => {
    const { entrance, made, script } = entranceWith(() => ({ me: lina }));
    await entrance.check();
    script.answer = (path) => (path === "/renew" ? fail(wrong) : { me: lina });

    const relogin = made[0]?.login(4005);
    await Promise.resolve();
    await Promise.resolve();
    expect(entrance.stage.value).toEqual({ kind: "login", again: true });
    await entrance.login("lina", "right");

    await relogin;
    expect(entrance.stage.value).toEqual({ kind: "in", me: lina });
    expect(made).toHaveLength(1);
  });

  test("another person on this page begins with a new page", async () => {
    const { entrance, script, restarts } = entranceWith(() => ({ me: lina }));
    await entrance.check();
    entrance.askAgain();
    script.answer = () => ({ me: wang });

    await entrance.login("wangqiang", "right");

    expect(restarts()).toBe(1);
    expect(entrance.stage.value.kind).toBe("login");
  });

  test("a logout closes the desk, and the next login has a new one", async () => {
    const { entrance, made } = entranceWith(() => ({ me: lina }));
    await entrance.check();

    await entrance.logout();

    expect(made.map(({ closed }) => closed)).toEqual([true, false]);
    expect(entrance.stage.value).toEqual({ kind: "login", again: false });
  });

  test("a logout that does not reach the server changes nothing", async () => {
    const { entrance, made, script } = entranceWith(() => ({ me: lina }));
    await entrance.check();
    script.answer = () => fail(new Error("no network"));

    await expect(entrance.logout()).rejects.toThrow("no network");

    expect(entrance.stage.value.kind).toBe("in");
    expect(made[0]?.closed).toBe(false);
  });
});
