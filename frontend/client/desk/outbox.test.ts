import { describe, expect, test } from "vitest";
import type { Store } from "../storage.ts";
import { diceOf } from "../testing.ts";
import type { Positions } from "../wire.ts";
import { Refusal, Unreachable } from "./http.ts";
import { type Command, OLD_MS, Outbox, type Reply } from "./outbox.ts";

class Device implements Store {
  kept = new Map<string, string>();
  get = (key: string) => this.kept.get(key) ?? null;
  set = (key: string, value: string) => {
    this.kept.set(key, value);
    return true;
  };
  remove = (key: string) => void this.kept.delete(key);
  keys = () => [...this.kept.keys()];
}

interface Call extends Command {
  answer(positions?: Positions, result?: object): Promise<void>;
  refuse(code: string, retry?: Refusal["retry"], status?: number, detail?: object): Promise<void>;
  drop(): Promise<void>;
}

/** One life of a page: reload makes another over the same device. */
class Page {
  now = 1_000;
  calls: Call[] = [];
  timers: { at: number; act: () => void }[] = [];
  followed = new Set(["7", "8"]);
  outbox: Outbox;

  constructor(device: Device, now = 1_000) {
    this.now = now;
    this.outbox = new Outbox({
      realm: "employee",
      store: device,
      send: (command) => this.call(command),
      follows: (conv) => this.followed.has(conv),
      now: () => this.now,
      dice: () => 0,
      later: (act, ms) => {
        const timer = { at: this.now + ms, act };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((each) => each !== timer);
        };
      },
    });
  }

  call(command: Command): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const settled = async (act: () => void) => {
        act();
        for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      };
      this.calls.push({
        ...command,
        answer: (positions = { "conv:7": ["e1", 9] }, result = {}) =>
          settled(() => resolve({ result, positions, command_id: command.commandId })),
        refuse: (code, retry = "decide_anew", status = 409, detail = {}) =>
          settled(() => reject(new Refusal(status, { code, message: code, detail, retry }))),
        drop: () => settled(() => reject(new Unreachable("cut"))),
      });
    });
  }

  add(commandId: string, conv = "7", args: object = { body: commandId }) {
    const reply = this.outbox.add({ commandId, conv, name: "post_message", args });
    reply.catch(() => undefined);
    return reply;
  }

  pass(ms: number): void {
    this.now += ms;
    const due = this.timers.filter(({ at }) => at <= this.now);
    this.timers = this.timers.filter(({ at }) => at > this.now);
    for (const { act } of due) act();
  }

  get last(): Call {
    const call = this.calls[this.calls.length - 1];
    if (!call) throw new Error("nothing was sent");
    return call;
  }

  get sent(): string[] {
    return this.calls.map(({ commandId }) => commandId);
  }

  shown(conv = "7"): [string, string][] {
    return this.outbox.list(conv).map(({ commandId, state }) => [commandId, state]);
  }
}

function open(device = new Device(), now?: number): Page {
  const page = new Page(device, now);
  page.outbox.open("wang");
  return page;
}

describe("order", () => {
  test("one at a time within a conversation, first in first out; conversations side by side", async () => {
    const page = open();
    page.add("a");
    page.add("b");
    page.add("x", "8");
    expect(page.sent).toEqual(["a", "x"]);
    await page.calls[0]?.answer();
    expect(page.sent).toEqual(["a", "x", "b"]);
  });

  test("who waits for its turn again keeps those behind it waiting", async () => {
    const page = open();
    page.add("a");
    page.add("b");
    await page.last.drop();
    expect(page.shown()).toEqual([
      ["a", "waiting"],
      ["b", "waiting"],
    ]);
    page.pass(1_000);
    expect(page.sent).toEqual(["a", "a"]);
  });

  test("a refused one lets the next pass", async () => {
    const page = open();
    page.add("a");
    page.add("b");
    await page.last.refuse("invalid");
    expect(page.sent).toEqual(["a", "b"]);
    expect(page.shown()).toEqual([
      ["a", "failed"],
      ["b", "sending"],
    ]);
  });
});

describe("again by itself, under the same id", () => {
  test.each([
    ["503", (call: Call) => call.refuse("try_later", "same_id", 503)],
    ["429", (call: Call) => call.refuse("queue_full", "no", 429)],
    ["a lost answer", (call: Call) => call.drop()],
    ["no login", (call: Call) => call.refuse("login_required", "after_login", 401)],
  ])("after %s, 1 … 30 s", async (_, fail) => {
    const page = open();
    page.add("a");
    for (const wait of [1, 2, 4, 8, 16, 30, 30]) {
      await fail(page.last);
      const before = page.calls.length;
      page.pass(wait * 1000 - 1);
      expect(page.calls).toHaveLength(before);
      page.pass(1);
      expect(page.calls).toHaveLength(before + 1);
    }
    expect(new Set(page.sent)).toEqual(new Set(["a"]));
  });

  test("not before the server asked for", async () => {
    const page = open();
    page.add("a");
    await page.last.refuse("too_many", "same_id", 429, { retry_after_s: 8 });
    page.pass(7_999);
    expect(page.calls).toHaveLength(1);
    page.pass(1);
    expect(page.calls).toHaveLength(2);
  });

  test("at once when the connection is back", async () => {
    const page = open();
    page.add("a");
    await page.last.drop();
    page.outbox.kick();
    expect(page.sent).toEqual(["a", "a"]);
    page.pass(60_000);
    expect(page.sent).toEqual(["a", "a"]);
  });

  test("other refusals never; a person may retry or remove", async () => {
    const page = open();
    const reply = page.add("a");
    await page.last.refuse("closed");
    page.pass(3_600_000);
    page.outbox.kick();
    expect(page.sent).toEqual(["a"]);
    expect(page.outbox.list("7")[0]).toMatchObject({
      state: "failed",
      refusal: { code: "closed" },
    });
    await expect(reply).rejects.toMatchObject({ code: "closed" });
    page.outbox.retry("a");
    expect(page.sent).toEqual(["a", "a"]);
    await page.last.refuse("closed");
    page.outbox.remove("a");
    expect(page.shown()).toEqual([]);
  });

  test("while stopped nothing goes out and nothing is lost", () => {
    const page = open();
    page.outbox.pause(true);
    page.add("a");
    expect(page.calls).toEqual([]);
    page.outbox.pause(false);
    expect(page.sent).toEqual(["a"]);
  });
});

describe("a bubble leaves when its event was seen", () => {
  test("not when the POST answered", async () => {
    const page = open();
    page.add("a");
    await page.last.answer({ "conv:7": ["e1", 9] });
    expect(page.shown()).toEqual([["a", "sending"]]);
    page.outbox.seen("conv:7", ["e1", 8]);
    expect(page.shown()).toHaveLength(1);
    page.outbox.seen("conv:7", ["e1", 9]);
    expect(page.shown()).toEqual([]);
  });

  test("by its command id, even before the POST answered; who asked still hears the reply", async () => {
    const page = open();
    const reply = page.add("a");
    page.outbox.confirm("a");
    expect(page.shown()).toEqual([]);
    await page.last.drop();
    page.pass(1_000);
    await page.last.answer({ "conv:7": ["e1", 9] }, { msg_id: "m1" });
    expect((await reply).result).toEqual({ msg_id: "m1" });
    expect(page.shown()).toEqual([]);
  });

  test("an epoch that is gone counts as seen: the snapshot holds it", async () => {
    const page = open();
    page.add("a");
    await page.last.answer({ "conv:7": ["e1", 9] });
    page.outbox.seen("conv:7", ["e2", 1]);
    expect(page.shown()).toEqual([]);
  });

  test("other streams of the reply do not count", async () => {
    const page = open();
    page.add("a");
    await page.last.answer({ "conv:7": ["e1", 9], "employee:wang": ["e1", 3] });
    page.outbox.seen("employee:wang", ["e1", 3]);
    expect(page.shown()).toHaveLength(1);
  });

  test("at once when nobody looks at the conversation, or no longer", async () => {
    const page = open();
    page.followed.clear();
    page.add("a");
    await page.last.answer();
    expect(page.shown()).toEqual([]);
    page.followed.add("7");
    page.add("b");
    await page.last.answer();
    expect(page.shown()).toHaveLength(1);
    page.outbox.left("7");
    expect(page.shown()).toEqual([]);
  });

  test("a new conversation's first message moves into it", async () => {
    const page = open();
    page.add("a", "new");
    await page.last.answer({ "conv:31": ["e1", 2] }, { conv_id: "31" });
    expect(page.shown("new")).toEqual([]);
    expect(page.shown("31")).toEqual([["a", "sending"]]);
    page.outbox.seen("conv:31", ["e1", 2]);
    expect(page.shown("31")).toEqual([]);
  });
});

describe("on the device", () => {
  test("a reload sends what the server had not taken, in order, under the same ids", async () => {
    const device = new Device();
    const before = open(device);
    before.add("a");
    before.add("b");
    before.add("c", "8");
    const after = open(device, 5_000);
    expect(after.sent).toEqual(["a", "c"]);
    await after.calls[0]?.answer();
    expect(after.sent).toEqual(["a", "c", "b"]);
    expect(after.calls[0]?.args).toEqual({ body: "a" });
  });

  test("what the server has taken is not sent after a reload", async () => {
    const device = new Device();
    const before = open(device);
    before.add("a");
    await before.last.answer();
    expect(open(device).sent).toEqual([]);
  });

  test("taken without an answer: sent again under the same id, and gone when the snapshot holds it", () => {
    const device = new Device();
    open(device).add("a");
    const after = open(device);
    expect(after.sent).toEqual(["a"]);
    after.outbox.confirm("a");
    expect(after.shown()).toEqual([]);
    expect(open(device).sent).toEqual([]);
  });

  test("older than 24 h asks first", async () => {
    const device = new Device();
    open(device).add("a");
    const after = open(device, 1_001 + OLD_MS);
    expect(after.sent).toEqual([]);
    expect(after.outbox.list("7")[0]).toMatchObject({ state: "failed", refusal: null });
    after.outbox.retry("a");
    expect(after.sent).toEqual(["a"]);
  });

  test("exactly 24 h old goes", () => {
    const device = new Device();
    open(device).add("a");
    expect(open(device, 1_000 + OLD_MS).sent).toEqual(["a"]);
  });

  test("another person's login wipes it; another realm's stays", () => {
    const device = new Device();
    open(device).add("a");
    device.set("deskwire:outbox:agent:wang:7:z", "{}");
    const other = new Page(device);
    other.outbox.open("zhao");
    expect(other.sent).toEqual([]);
    expect(device.keys()).toEqual(["deskwire:outbox:agent:wang:7:z"]);
  });

  test("written before anybody knows whose page it is: kept once that is known", () => {
    const device = new Device();
    const page = new Page(device);
    page.add("a");
    expect(device.keys()).toEqual([]);
    page.outbox.open("wang");
    expect(device.keys()).toHaveLength(1);
    expect(page.sent).toEqual(["a"]);
  });

  test("what cannot be read is thrown away", () => {
    const device = new Device();
    device.set("deskwire:outbox:employee:wang:7:a", "{");
    expect(open(device).sent).toEqual([]);
    expect(device.keys()).toEqual([]);
  });

  test("sent in another tab: gone here", () => {
    const device = new Device();
    const here = open(device);
    here.outbox.pause(true);
    here.add("a");
    here.outbox.storeChanged(device.keys()[0] ?? "", null);
    here.outbox.pause(false);
    expect(here.shown()).toEqual([]);
    expect(here.sent).toEqual([]);
  });
});

test.each(Array.from({ length: 100 }, (_, seed) => seed))(
  "nothing lost, nothing twice, in order, over cuts and reloads: seed %i",
  async (seed) => {
    const dice = diceOf(seed);
    const device = new Device();
    /** What the server holds, by command id; and how often an id came. */
    const log: string[] = [];
    let page = open(device);
    let count = 0;
    const written: string[] = [];
    const serve = async (calm: boolean) => {
      const call = page.calls.shift();
      if (!call) return;
      const lostUp = !calm && dice() < 0.3;
      if (!lostUp && !log.includes(call.commandId)) log.push(call.commandId);
      const lostDown = !calm && dice() < 0.3;
      if (lostUp || lostDown) return call.drop();
      await call.answer({ "conv:7": ["e1", log.indexOf(call.commandId) + 1] });
    };
    for (let step = 0; step < 60; step++) {
      const fate = dice();
      if (fate < 0.3) {
        const id = `id-${String(count++).padStart(3, "0")}`;
        page.now += 1;
        written.push(id);
        page.add(id);
      } else if (fate < 0.7) await serve(false);
      else if (fate < 0.8) page.pass(40_000);
      else if (fate < 0.9) page.outbox.seen("conv:7", ["e1", log.length]);
      else page = open(device, page.now + 10);
    }
    for (let step = 0; step < 200; step++) {
      page.pass(40_000);
      await serve(true);
    }
    page.outbox.seen("conv:7", ["e1", log.length]);
    expect(log).toEqual(written);
    expect(page.shown()).toEqual([]);
    expect(device.keys()).toEqual([]);
  },
);
