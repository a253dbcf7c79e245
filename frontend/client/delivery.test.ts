import { describe, expect, test } from "vitest";
import { CODES } from "./contract/codes.ts";
import { Delivery, type Out } from "./delivery.ts";
import type { From } from "./wire.ts";

const WHO = { device: "d-00000001", tab: "t-00000001" };
const HELLO = {
  op: "hello",
  connection: "c-1",
  node: "n1",
  now: 1_000_000,
  heartbeat_ms: 20_000,
  silence_ms: 35_000,
  login_until: 2_000_000,
  limits: { watches: 200, frame_bytes: 32_768, frames_per_s: 20 },
};

/** A page with its clock and its dice in our hand. */
class Page {
  now = 0;
  dice = 0.5;
  delivery = new Delivery("test/1", () => this.dice);
  applied: [string, number][] = [];

  receive(...frames: object[]): Out[] {
    const text = frames.map((frame) => JSON.stringify(frame)).join("\n");
    return this.heed(this.delivery.receive(text, this.now));
  }

  heed(outs: Out[]): Out[] {
    for (const out of outs) if (out.do === "apply") this.applied.push([out.stream, out.position]);
    return outs;
  }

  wakeAt(now: number): Out[] {
    this.now = now;
    return this.heed(this.delivery.wake(now));
  }

  /** Lets time pass, waking when asked to; gives what came out. */
  pass(ms: number): Out[] {
    const end = this.now + ms;
    const outs: Out[] = [];
    for (let due = this.delivery.dueAt; due !== null && due <= end; due = this.delivery.dueAt)
      outs.push(...this.wakeAt(Math.max(due, this.now)));
    this.now = end;
    return outs;
  }

  open(watch: Record<string, From> = {}): this {
    this.delivery.watch(watch, this.now);
    this.delivery.start(this.now);
    this.connect();
    return this;
  }

  connect(): Out[] {
    const identify = this.delivery.opened(WHO, this.now);
    this.receive(HELLO);
    return identify;
  }

  live(stream: string, position: number, epoch = "e1"): this {
    this.receive(
      { op: "watched", stream, epoch, position, head: position },
      { op: "live", stream, position, signs: [] },
    );
    return this;
  }

  get kind(): string {
    return this.delivery.state.kind;
  }
}

const opened = (from: Record<string, From> = {}) => new Page().open(from);
const watching = (position = 5) => opened({ a: ["e1", position] }).live("a", position);
const event = (position: number, stream = "a") => ({ op: "event", stream, position, event: {} });
const sent = (outs: Out[]) => outs.flatMap((out) => (out.do === "send" ? [out.frame] : []));
const ops = (outs: Out[]) => sent(outs).map((frame) => frame.op);
const kinds = (outs: Out[]) => outs.map((out) => out.do);

describe("greeting", () => {
  test("identify names every place, and comes first", () => {
    const page = new Page();
    page.delivery.watch({ a: ["e1", 7], b: null, c: [null, 0] }, 0);
    expect(page.delivery.start(0)).toEqual([{ do: "open", anew: false }]);

    const outs = page.delivery.opened(WHO, 10);

    expect(sent(outs)).toEqual([
      {
        op: "identify",
        protocol: 1,
        client: "test/1",
        ...WHO,
        visible: true,
        watch: { a: ["e1", 7], b: null, c: [null, 0] },
      },
    ]);
  });

  test("is connecting, then catching up until every stream is live, then live", () => {
    const page = new Page();
    page.delivery.watch({ a: ["e1", 1], b: ["e1", 1] }, 0);
    page.delivery.start(0);
    expect(page.kind).toBe("connecting");
    page.connect();
    expect(page.kind).toBe("catching_up");
    page.live("a", 1);
    expect(page.kind).toBe("catching_up");
    page.live("b", 1);
    expect(page.kind).toBe("live");
  });

  test("nothing but hello and bye is heard before hello", () => {
    const page = new Page();
    page.delivery.watch({ a: ["e1", 1] }, 0);
    page.delivery.start(0);
    page.delivery.opened(WHO, 0);

    page.receive({ op: "watched", stream: "a", epoch: "e1", position: 1, head: 2 }, event(2));

    expect(page.applied).toEqual([]);
  });

  test.each(["opening", "greeting"])("gives up after 10 s of %s", (phase) => {
    const page = new Page();
    page.delivery.start(0);
    if (phase === "greeting") page.delivery.opened(WHO, 0);
    expect(page.wakeAt(9_999)).toEqual([]);
    expect(kinds(page.wakeAt(10_000))[0]).toBe("drop");
  });
});

describe("events", () => {
  test("the next one is applied", () => {
    const page = watching(5);
    page.receive(event(6), event(7));
    expect(page.applied).toEqual([
      ["a", 6],
      ["a", 7],
    ]);
  });

  test("one applied before is ignored and acknowledged again", () => {
    const page = watching(5);
    page.receive(event(6));
    expect(sent(page.pass(200))).toEqual([{ op: "ack", positions: { a: 6 } }]);

    page.receive(event(6), event(3));

    expect(page.applied).toEqual([["a", 6]]);
    expect(sent(page.pass(200))).toEqual([{ op: "ack", positions: { a: 6 } }]);
  });

  test("a gap applies nothing and watches again from what was applied", () => {
    const page = watching(5);
    const outs = page.receive(event(7), event(8));
    expect(page.applied).toEqual([]);
    expect(sent(outs)).toEqual([{ op: "watch", watch: { a: ["e1", 5] } }]);
    expect(page.kind).toBe("catching_up");

    page.live("a", 5);
    page.receive(event(6), event(7), event(8));

    expect(page.applied.map(([, n]) => n)).toEqual([6, 7, 8]);
  });

  test("while a question is open nothing is applied and nothing acknowledged: it will be sent again", () => {
    const page = watching(5);
    page.receive(event(7));
    page.receive(event(6));
    expect(page.applied).toEqual([]);
    expect(ops(page.pass(1_000))).toEqual([]);
  });

  test("a stream that is not watched is ignored", () => {
    const page = watching(5);
    expect(page.receive(event(1, "other"))).toEqual([]);
  });

  test("an unknown op is ignored, unknown fields too", () => {
    const page = watching(5);
    expect(page.receive({ op: "later", stream: "a" }, { ...event(6), more: 1 })).toHaveLength(1);
    expect(page.applied).toEqual([["a", 6]]);
  });

  test.each(["{", "null", "7", '{"stream":"a"}'])("the frame %s ends the connection", (text) => {
    const page = watching(5);
    expect(kinds(page.delivery.receive(text, 0))).toEqual(["drop"]);
    expect(page.kind).toBe("reconnecting");
  });
});

describe("acks", () => {
  const ASKS = { ...HELLO.limits, ack_ms: 2_000, ack_events: 3, ack_bytes: 1_000 };

  /** On `a` from 0, at a server that says how often it wants acks. */
  function asked(): Page {
    const page = new Page();
    page.delivery.watch({ a: null }, 0);
    page.delivery.start(0);
    page.delivery.opened(WHO, 0);
    page.receive({ ...HELLO, limits: ASKS });
    page.receive({ op: "watched", stream: "a", epoch: "e", position: 0, head: 0 });
    return page;
  }

  test("the first after a pause is acknowledged soon, what follows as often as the server asks", () => {
    const page = asked();
    page.receive(event(1));
    expect(sent(page.pass(200))).toEqual([{ op: "ack", positions: { a: 1 } }]);
    page.receive(event(2));
    expect(sent(page.pass(1_999))).toEqual([]);
    expect(sent(page.pass(1))).toEqual([{ op: "ack", positions: { a: 2 } }]);
    page.pass(5_000);
    page.receive(event(3));
    expect(sent(page.pass(200))).toEqual([{ op: "ack", positions: { a: 3 } }]);
  });

  test("as many events or bytes as the server names are acknowledged at once", () => {
    const page = asked();
    expect(sent(page.receive(event(1), event(2)))).toEqual([]);
    expect(sent(page.receive(event(3)))).toEqual([{ op: "ack", positions: { a: 3 } }]);
    const large = { ...event(4), event: { text: "x".repeat(1_000) } };
    expect(sent(page.receive(large))).toEqual([{ op: "ack", positions: { a: 4 } }]);
  });

  test("a mark does not wait for the time of the acks", () => {
    const page = asked();
    page.receive(event(1));
    page.pass(200);
    page.receive(event(2));
    page.delivery.mark("a", 2, page.now);
    expect(ops(page.pass(200))).toEqual(["ack", "mark"]);
  });

  test("go out 200 ms after the first event they cover", () => {
    const page = watching(5);
    page.receive(event(6));
    page.now = 150;
    page.receive(event(7));
    expect(page.pass(49)).toEqual([]);
    expect(sent(page.pass(1))).toEqual([{ op: "ack", positions: { a: 7 } }]);
    expect(page.pass(1_000)).toEqual([]);
  });

  test("go out with the 32nd event", () => {
    const page = watching(0);
    for (let n = 1; n < 32; n++) expect(ops(page.receive(event(n)))).toEqual([]);
    expect(sent(page.receive(event(32)))).toEqual([{ op: "ack", positions: { a: 32 } }]);
  });

  test("a replay of 5,000 in one moment stays below the frames a server takes", () => {
    const page = watching(0);
    let frames = 0;
    for (let n = 1; n <= 5_000; n++) frames += ops(page.receive(event(n))).length;
    expect(frames).toBeLessThanOrEqual(32);
    expect(sent(page.pass(200))).toEqual([{ op: "ack", positions: { a: 5_000 } }]);
  });

  test("travel with pong and probe", () => {
    const page = watching(5);
    page.receive(event(6));
    expect(sent(page.receive({ op: "ping", now: 1 }))).toEqual([
      { op: "pong", positions: { a: 6 } },
    ]);
    page.receive(event(7));
    expect(sent(page.delivery.look(page.now))).toEqual([
      { op: "probe", n: 1, positions: { a: 7 } },
    ]);
    expect(page.pass(1_000)).toEqual([]);
  });

  test("go out at once when the page is hidden", () => {
    const page = watching(5);
    page.receive(event(6));
    expect(sent(page.delivery.show(false, 10))).toEqual([
      { op: "visibility", visible: false },
      { op: "ack", positions: { a: 6 } },
    ]);
  });
});

describe("watching", () => {
  test("one more stream is asked for at once", () => {
    const page = watching(5);
    expect(sent(page.delivery.watch({ b: ["e1", 3] }, 0))).toEqual([
      { op: "watch", watch: { b: ["e1", 3] } },
    ]);
  });

  test("from now on: the server says where that is", () => {
    const page = opened({ a: null });
    page.receive({ op: "watched", stream: "a", epoch: "e9", position: 40, head: 40 });
    page.receive(event(41));
    expect(page.applied).toEqual([["a", 41]]);
    expect(page.delivery.place("a")).toEqual(["e9", 41]);
  });

  test("from another place while a question is open: asked anew when that is answered, once", () => {
    const page = opened({ a: ["e1", 9] });
    expect(page.delivery.watch({ a: ["e1", 4] }, 0)).toEqual([]);
    const outs = page.receive(
      { op: "watched", stream: "a", epoch: "e1", position: 9, head: 9 },
      event(10),
    );
    expect(sent(outs)).toEqual([{ op: "watch", watch: { a: ["e1", 4] } }]);
    expect(page.applied).toEqual([]);
    page.live("a", 4);
    page.receive(event(5));
    expect(page.applied).toEqual([["a", 5]]);
  });

  test("given up while a question is open: told when that is answered", () => {
    const page = opened({ a: ["e1", 9] });
    expect(page.delivery.unwatch(["a"], 0)).toEqual([]);
    expect(page.kind).toBe("live");
    const outs = page.receive({ op: "watched", stream: "a", epoch: "e1", position: 9, head: 9 });
    expect(sent(outs)).toEqual([{ op: "unwatch", streams: ["a"] }]);
  });

  test("given up and wanted again while a question is open", () => {
    const page = opened({ a: ["e1", 9] });
    page.delivery.unwatch(["a"], 0);
    page.delivery.watch({ a: ["e1", 9] }, 0);
    const outs = page.receive({ op: "watched", stream: "a", epoch: "e1", position: 9, head: 9 });
    expect(sent(outs)).toEqual([{ op: "watch", watch: { a: ["e1", 9] } }]);
    page.live("a", 9);
    page.receive(event(10));
    expect(page.applied).toEqual([["a", 10]]);
  });

  test("unwatch says so, and the stream is forgotten", () => {
    const page = watching(5);
    expect(sent(page.delivery.unwatch(["a"], 0))).toEqual([{ op: "unwatch", streams: ["a"] }]);
    page.receive(event(6));
    expect(page.applied).toEqual([]);
    expect(page.delivery.place("a")).toBeUndefined();
  });

  test.each(["epoch", "ahead", "trimmed", "far"])(
    "reset (%s): load, and nothing after it",
    (why) => {
      const page = opened({ a: ["e1", 5] });
      const outs = page.receive({ op: "reset", stream: "a", epoch: "e2", head: 1, why }, event(6));
      expect(outs).toEqual([{ do: "load", stream: "a", why }]);
      expect(page.kind).toBe("live");
    },
  );

  test("a reset unasked", () => {
    const page = watching(5);
    const reset = { op: "reset", stream: "a", epoch: "e2", head: 1, why: "epoch" };
    expect(kinds(page.receive(reset, event(6)))).toEqual(["load"]);
    page.delivery.watch({ a: ["e2", 1] }, 0);
    page.live("a", 1, "e2");
    page.receive(event(2));
    expect(page.applied).toEqual([["a", 2]]);
  });

  test("events of the old epoch are not taken for the new one's", () => {
    const page = watching(5);
    page.delivery.watch({ a: ["e2", 5] }, 0);
    page.receive(event(6));
    expect(page.applied).toEqual([]);
  });

  test.each(["denied", "left", "revoked", "gone"])("unwatched (%s): gone", (why) => {
    const page = watching(5);
    expect(page.receive({ op: "unwatched", stream: "a", why })).toEqual([
      { do: "gone", stream: "a", why },
    ]);
  });

  test("too many watches: the stream is gone, and it is said", () => {
    const page = opened({ a: ["e1", 5] });
    const outs = page.receive({
      op: "error",
      code: "too_many_watches",
      about: "watch",
      stream: "a",
    });
    expect(kinds(outs)).toEqual(["complaint", "gone"]);
  });

  test("a watch above the bound is gone at once", () => {
    const names = Array.from({ length: 200 }, (_, n) => [`s${n}`, ["e1", 5]]);
    const page = opened(Object.fromEntries(names));
    expect(page.delivery.watch({ more: null, s0: ["e1", 3] }, 0)).toEqual([
      { do: "gone", stream: "more", why: "too_many_watches" },
    ]);
    expect(page.delivery.place("more")).toBeUndefined();
  });

  test("a server that takes fewer watches is asked for the first ones", () => {
    const page = new Page();
    page.delivery.watch({ a: ["e1", 5], b: ["e1", 5], c: ["e1", 5] }, 0);
    page.delivery.start(0);
    page.delivery.opened(WHO, 0);
    const outs = page.receive({ ...HELLO, limits: { ...HELLO.limits, watches: 2 } });
    expect(outs.slice(1)).toEqual([
      { do: "gone", stream: "c", why: "too_many_watches" },
      { do: "send", frame: { op: "watch", watch: { a: ["e1", 5], b: ["e1", 5] } } },
    ]);
  });

  test("an answer that fits no question begins anew", () => {
    const page = opened({ a: ["e1", 5] });
    const outs = page.receive({ op: "watched", stream: "a", epoch: "e1", position: 8, head: 9 });
    expect(kinds(outs)).toEqual(["send", "load"]);
  });

  test("no answer in 20 s: a new connection", () => {
    const page = opened({ a: ["e1", 5] });
    page.now = 15_000;
    page.receive({ op: "ping", now: 1 });
    expect(kinds(page.pass(5_000))).toEqual(["drop"]);
  });
});

describe("gaps that no event betrays", () => {
  test("live above what was applied watches again", () => {
    const page = opened({ a: ["e1", 5] });
    page.receive({ op: "watched", stream: "a", epoch: "e1", position: 5, head: 7 }, event(6));
    const outs = page.receive({ op: "live", stream: "a", position: 7, signs: [] });
    expect(sent(outs)).toEqual([{ op: "watch", watch: { a: ["e1", 6] } }]);
  });

  test("below a head of the heartbeat for 5 s watches again", () => {
    const page = watching(5);
    page.receive({ op: "ping", now: 1, heads: { a: 6, b: 9 } });
    expect(ops(page.pass(4_999))).toEqual([]);
    expect(sent(page.pass(1))).toEqual([{ op: "watch", watch: { a: ["e1", 5] } }]);
  });

  test("the event came after all: nothing is asked", () => {
    const page = watching(5);
    page.receive({ op: "ping", now: 1, heads: { a: 6 } });
    page.pass(4_000);
    page.receive(event(6));
    expect(ops(page.pass(10_000))).toEqual(["ack"]);
  });

  test("a replay under way is not asked for again", () => {
    const page = opened({ a: ["e1", 0] });
    page.receive({ op: "watched", stream: "a", epoch: "e1", position: 0, head: 5 });
    for (let n = 1; n <= 4; n++) {
      page.pass(4_000);
      page.receive(event(n));
    }
    expect(page.delivery.state.kind).toBe("catching_up");
    expect(ops(page.pass(4_999))).not.toContain("watch");
  });

  test("a reply's position that does not come in 5 s: doubtful, probe, watch again, new connection", () => {
    const page = watching(5);
    page.delivery.expect({ a: ["e1", 6], other: ["e1", 9] }, 0);
    expect(page.pass(4_999)).toEqual([]);
    expect(page.kind).toBe("live");
    expect(ops(page.pass(1))).toEqual(["probe"]);
    expect(page.kind).toBe("doubtful");
    const outs = page.receive({ op: "alive", n: 1 });
    expect(sent(outs)).toEqual([{ op: "watch", watch: { a: ["e1", 5] } }]);
    expect(kinds(page.pass(5_000))).toEqual(["drop"]);
    expect(page.kind).toBe("reconnecting");
  });

  test("doubt ends when the position comes", () => {
    const page = watching(5);
    page.delivery.expect({ a: ["e1", 6] }, 0);
    page.pass(5_000);
    page.receive({ op: "alive", n: 1 });
    page.live("a", 5);
    page.receive(event(6));
    expect(page.kind).toBe("live");
    expect(ops(page.pass(10_000))).toEqual(["ack"]);
  });

  test("what is here already is not expected", () => {
    const page = watching(5);
    page.delivery.expect({ a: ["e1", 5] }, 0);
    expect(page.pass(20_000)).toEqual([]);
  });

  test("a place of a lost epoch costs one connection, not each", () => {
    const page = watching(5);
    page.delivery.expect({ a: ["e0", 2] }, 0);
    page.pass(5_000);
    page.receive({ op: "alive", n: 1 });
    page.live("a", 5);
    expect(kinds(page.pass(5_000))).toEqual(["drop"]);
    page.pass(1_000);
    page.connect();
    page.live("a", 5);
    expect(ops(page.pass(20_000))).toEqual([]);
  });
});

describe("liveness", () => {
  test("a socket silent for silence_ms is dropped, any frame keeps it", () => {
    const page = watching(5);
    page.pass(14_000);
    page.now = 14_000;
    page.delivery.wake(14_000);
    page.now = 28_000;
    page.receive({ op: "ping", now: 1 });
    page.delivery.wake(42_000);
    page.delivery.wake(56_000);
    expect(page.wakeAt(62_999)).toEqual([]);
    expect(kinds(page.wakeAt(63_000))).toEqual(["drop"]);
  });

  test("a page that slept asks before it judges", () => {
    const page = watching(5);
    expect(ops(page.wakeAt(3_600_000))).toEqual(["probe"]);
    page.receive({ op: "alive", n: 1 });
    expect(page.kind).toBe("live");
  });

  test.each([
    ["look", (page: Page) => page.delivery.look(0)],
    ["online", (page: Page) => page.delivery.net(true, 0)],
    ["offline", (page: Page) => page.delivery.net(false, 0)],
  ])("on %s: probe, answered in 3 s or a new socket", (_, act) => {
    const page = watching(5);
    expect(ops(act(page))).toEqual(["probe"]);
    expect(act(page)).toEqual([]);
    expect(page.wakeAt(2_999)).toEqual([]);
    expect(kinds(page.wakeAt(3_000))).toEqual(["drop"]);
  });

  test("an answer to another probe does not count", () => {
    const page = watching(5);
    page.delivery.look(0);
    page.receive({ op: "alive", n: 7 });
    expect(kinds(page.wakeAt(3_000))).toEqual(["drop"]);
  });

  test("shown again: visibility, then probe", () => {
    const page = watching(5);
    page.delivery.show(false, 0);
    expect(ops(page.delivery.show(true, 10))).toEqual(["visibility", "probe"]);
    expect(page.delivery.show(true, 20)).toEqual([]);
  });

  test("offline is said only once a probe has failed", () => {
    const page = watching(5);
    page.delivery.net(false, 0);
    expect(page.kind).toBe("live");
    page.wakeAt(3_000);
    expect(page.kind).toBe("offline");
    page.delivery.net(true, 3_000);
    expect(page.kind).toBe("reconnecting");
  });
});

describe("coming back", () => {
  /** How long it waits after this end, with the dice at 0 and at (almost) 1. */
  function range(code: number, bye?: [number, number] | null): [number, number] {
    const waits = [0, 1].map((dice) => {
      const page = watching(5);
      page.dice = dice;
      if (bye !== undefined) page.receive({ op: "bye", code, why: "x", retry_ms: bye });
      page.delivery.lost(bye === undefined ? code : 1006, 0);
      return page.delivery.state.retryAt ?? -1;
    });
    return [waits[0] ?? -1, waits[1] ?? -1];
  }

  test.each([
    [4000, 0, 1_000],
    [4002, 1_000, 2_000],
    [4003, 0, 1_000],
    [4004, 0, 0],
    [4006, 5_000, 6_000],
    [4007, 0, 1_000],
    [4008, 0, 1_000],
    [1000, 0, 1_000],
    [1001, 0, 1_000],
    [1006, 0, 1_000],
    [1012, 0, 1_000],
    [4444, 0, 1_000],
  ])("after %i the first time within %i … %i ms", (code, least, most) => {
    expect(range(code)).toEqual([least, most]);
  });

  test.each([4001, 4009])("after %i as bye says", (code) => {
    expect(range(code, [500, 4_000])).toEqual([500, 4_000]);
    expect(range(code, null)).toEqual([0, 1_000]);
  });

  test("bye counts, not the code that got lost on the way", () => {
    const page = watching(5);
    page.receive({ op: "bye", code: 4504, why: "replaced", retry_ms: null }, event(6));
    expect(page.applied).toEqual([]);
    page.delivery.lost(1006, 0);
    expect(page.delivery.state).toEqual({ kind: "stopped", code: 4504, retryAt: null });
  });

  test("a bye without a close is closed after 2 s", () => {
    const page = watching(5);
    page.receive({ op: "bye", code: 4001, why: "drain", retry_ms: [0, 0] });
    expect(kinds(page.wakeAt(2_000))).toEqual(["drop"]);
    expect(page.delivery.state.retryAt).toBe(2_000);
  });

  test.each(CODES.filter(([code, again]) => again === "stop" && code !== 4500))(
    "%i stops",
    (code) => {
      const page = watching(5);
      expect(page.delivery.lost(code, 0)).toEqual([]);
      expect(page.delivery.state).toEqual({ kind: "stopped", code, retryAt: null });
      expect(page.delivery.dueAt).toBeNull();
    },
  );

  test("an unknown code from 4500 on stops", () => {
    const page = watching(5);
    page.delivery.lost(4888, 0);
    expect(page.kind).toBe("stopped");
  });

  test("the delay doubles to 20 s and begins anew after 30 s of life", () => {
    const page = watching(5);
    page.dice = 1;
    const waits: number[] = [];
    for (let k = 0; k < 8; k++) {
      page.delivery.lost(4000, page.now);
      waits.push((page.delivery.state.retryAt ?? 0) - page.now);
      page.pass(waits[k] ?? 0);
      page.connect();
    }
    expect(waits).toEqual([1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
    page.live("a", 5);
    page.now += 29_999;
    page.receive({ op: "ping", now: 1 });
    page.delivery.lost(4000, page.now);
    expect((page.delivery.state.retryAt ?? 0) - page.now).toBe(20_000);
    page.pass(20_000);
    page.connect();
    page.now += 30_000;
    page.delivery.lost(4000, page.now);
    expect((page.delivery.state.retryAt ?? 0) - page.now).toBe(1_000);
  });

  test("at once over and over becomes a backoff", () => {
    const page = watching(5);
    page.dice = 1;
    const waits: number[] = [];
    for (let k = 0; k < 5; k++) {
      page.delivery.lost(4004, page.now);
      waits.push((page.delivery.state.retryAt ?? 0) - page.now);
      page.pass(waits[k] ?? 0);
      page.connect();
    }
    expect(waits).toEqual([0, 0, 0, 4_000, 8_000]);
  });

  test("resumes from what was applied, on the new connection only after its watched", () => {
    const page = watching(5);
    page.receive(event(6));
    page.delivery.lost(1006, 100);
    page.pass(1_000);
    const [identify] = sent(page.connect());
    expect(identify).toMatchObject({ watch: { a: ["e1", 6] } });
    page.receive(event(7));
    expect(page.applied).toEqual([["a", 6]]);
    page.live("a", 6);
    page.receive(event(6), event(7));
    expect(page.applied.map(([, n]) => n)).toEqual([6, 7]);
  });

  test("the page that comes back does not wait for the end of a long delay, but for what bye said", () => {
    const page = watching(5);
    page.delivery.lost(4000, 0);
    page.receive({});
    page.dice = 1;
    for (let k = 0; k < 6; k++) {
      page.pass(20_000);
      page.delivery.lost(1006, page.now);
      page.delivery.answered(200, null, page.now);
    }
    const now = page.now;
    expect(page.delivery.state.retryAt).toBe(now + 20_000);
    page.dice = 0.5;
    page.delivery.look(now);
    expect(page.delivery.state.retryAt).toBe(now + 500);

    const told = watching(5);
    told.receive({ op: "bye", code: 4009, why: "overloaded", retry_ms: [8_000, 9_000] });
    told.delivery.lost(4009, 0);
    told.delivery.look(0);
    expect(told.delivery.state.retryAt).toBe(8_000);
  });

  test("立即重试 opens at once", () => {
    const page = watching(5);
    page.delivery.lost(4006, 0);
    expect(page.delivery.retry(10)).toEqual([{ do: "open", anew: false }]);
    expect(page.delivery.retry(10)).toEqual([]);
  });

  test.each([
    [4504, true],
    [4505, true],
    [4506, false],
  ])("在此使用 after %i: as a new tab %s", (code, anew) => {
    const page = watching(5);
    page.delivery.lost(code, 0);
    expect(page.delivery.retry(10)).toEqual([{ do: "open", anew }]);
  });
});

describe("a socket that never opened", () => {
  const shut = () => {
    const page = new Page();
    page.delivery.start(0);
    return { page, outs: page.delivery.lost(1006, 0) };
  };

  test("asks", () => {
    expect(shut().outs).toEqual([{ do: "ask" }]);
  });

  test.each([200, 0, 400, 404, 500, 502])("answer %i: comes back", (status) => {
    const { page } = shut();
    page.delivery.answered(status, null, 0);
    expect(page.delivery.state).toEqual({ kind: "reconnecting", code: 1006, retryAt: 500 });
  });

  test.each([429, 503])("answer %i: not before Retry-After", (status) => {
    const { page } = shut();
    page.delivery.answered(status, 7_000, 0);
    expect(page.delivery.state.retryAt).toBe(7_500);
  });

  test("answer 401: a login, then at once", () => {
    const { page } = shut();
    expect(page.delivery.answered(401, null, 0)).toEqual([{ do: "login", why: 4500 }]);
    expect(page.delivery.state).toMatchObject({ kind: "stopped", code: 4500 });
    expect(page.delivery.renewed(true, 60_000)).toEqual([{ do: "open", anew: false }]);
  });

  test("answer 403: stops", () => {
    const { page } = shut();
    page.delivery.answered(403, null, 0);
    expect(page.delivery.state).toMatchObject({ kind: "stopped", code: 4503 });
  });
});

describe("the login", () => {
  test("about to end: renewed quietly, the socket stays", () => {
    const page = watching(5);
    expect(page.receive({ op: "login", until: 1, renew: true })).toEqual([
      { do: "login", why: null },
    ]);
    expect(page.receive({ op: "login", until: 9, renew: false })).toEqual([]);
    expect(page.kind).toBe("live");
  });

  test("4005: renew first, then resume at once", () => {
    const page = watching(5);
    expect(page.delivery.lost(4005, 0)).toEqual([{ do: "login", why: 4005 }]);
    expect(page.kind).toBe("reconnecting");
    expect(page.delivery.renewed(true, 10)).toEqual([{ do: "open", anew: false }]);
  });

  test.each([4005, 4500])("%i and no login: stops as 4500", (code) => {
    const page = watching(5);
    page.delivery.lost(code, 0);
    page.delivery.renewed(false, 10);
    expect(page.delivery.state).toMatchObject({ kind: "stopped", code: 4500 });
  });

  test("a login that never holds is not asked for without end", () => {
    const page = watching(5);
    const asked: Out[] = [];
    page.delivery.lost(4500, 0);
    for (let k = 0; k < 5; k++) {
      page.delivery.renewed(true, 0);
      page.delivery.lost(1006, 0);
      asked.push(...page.delivery.answered(401, null, 0));
    }
    expect(asked).toHaveLength(1);
    expect(page.kind).toBe("stopped");
  });
});

describe("marks and signs", () => {
  test("a mark goes out soon, once, never above what was applied, and only rises", () => {
    const page = watching(5);
    page.delivery.mark("a", 4, 0);
    page.delivery.mark("a", 99, 0);
    page.delivery.mark("a", 3, 0);
    expect(page.pass(200)).toEqual([
      { do: "send", frame: { op: "mark", stream: "a", read: 5 } },
      { do: "marked", stream: "a", read: 5 },
    ]);
    expect(page.delivery.mark("a", 5, 300)).toEqual([]);
    expect(page.pass(1_000)).toEqual([]);
  });

  test("hidden, it waits until the page is seen", () => {
    const page = watching(5);
    page.delivery.show(false, 0);
    page.delivery.mark("a", 5, 0);
    expect(ops(page.pass(1_000))).toEqual([]);
    expect(ops(page.delivery.show(true, 2_000))).toEqual(["visibility", "mark", "probe"]);
  });

  test("it is said again after each live", () => {
    const page = watching(5);
    page.delivery.mark("a", 5, 0);
    page.pass(200);
    page.delivery.lost(1006, page.now);
    page.pass(1_000);
    page.connect();
    page.live("a", 5);
    expect(sent(page.pass(200))).toEqual([{ op: "mark", stream: "a", read: 5 }]);
  });

  test("typing at most every 3 s, its end at once", () => {
    const page = watching(5);
    expect(ops(page.delivery.typing("a", true, 0))).toEqual(["typing"]);
    expect(page.delivery.typing("a", true, 2_999)).toEqual([]);
    expect(ops(page.delivery.typing("a", true, 3_000))).toEqual(["typing"]);
    expect(sent(page.delivery.typing("a", false, 3_001))).toEqual([
      { op: "typing", stream: "a", on: false },
    ]);
    expect(page.delivery.typing("a", false, 3_002)).toEqual([]);
    expect(page.delivery.typing("none", true, 3_003)).toEqual([]);
  });

  test("viewing is said every 20 s, after each reconnect, and its end once", () => {
    const page = watching(5);
    expect(ops(page.delivery.viewing("a", true, 0))).toEqual(["viewing"]);
    expect(page.delivery.viewing("a", true, 5)).toEqual([]);
    page.pass(10_000);
    page.receive({ op: "ping", now: 1 });
    expect(ops(page.pass(10_000))).toEqual(["viewing"]);
    page.delivery.lost(1006, page.now);
    page.pass(1_000);
    page.connect();
    const outs = page.receive(
      { op: "watched", stream: "a", epoch: "e1", position: 5, head: 5 },
      { op: "live", stream: "a", position: 5, signs: [] },
    );
    expect(ops(outs)).toEqual(["viewing"]);
    expect(sent(page.delivery.viewing("a", false, page.now))).toEqual([
      { op: "viewing", stream: "a", on: false },
    ]);
  });

  test("signs go to who watches; live replaces them all", () => {
    const page = watching(5);
    const sign = { type: "typing", key: "typing:agent:li", ttl_ms: 6_000, data: { by: "li" } };
    expect(page.receive({ op: "ephemeral", stream: "a", ...sign })).toEqual([
      { do: "sign", sign: { stream: "a", ...sign } },
    ]);
    expect(page.receive({ op: "ephemeral", stream: "other", ...sign })).toEqual([]);
    expect(page.receive({ op: "live", stream: "a", position: 5, signs: [sign] })).toEqual([
      { do: "signs", stream: "a", signs: [{ stream: "a", ...sign }] },
    ]);
  });
});

describe("the end", () => {
  test("close says what was applied, closes, and hears nothing more", () => {
    const page = watching(5);
    page.receive(event(6));
    expect(page.delivery.close(0)).toEqual([
      { do: "send", frame: { op: "ack", positions: { a: 6 } } },
      { do: "drop", code: 1000 },
    ]);
    expect(page.receive(event(7))).toEqual([]);
    expect(page.delivery.retry(1)).toEqual([]);
    expect(page.delivery.dueAt).toBeNull();
  });
});
