import { describe, expect, test } from "vitest";
import { diceOf } from "../testing.ts";
import {
  compareEntries,
  foldBoard,
  foldConversation,
  foldMine,
  statusOf,
  withEarlier,
  withRows,
} from "./fold.ts";
import type {
  By,
  Conversation,
  ConversationSnapshot,
  ConversationView,
  DeskEvent,
  Entry,
  Mark,
  MineView,
  RowView,
} from "./model.ts";

const WANG: By = { realm: "employee", id: "wang", name: "王五", avatar: null };
const LI: By = { realm: "agent", id: "li", name: "李娜", avatar: null };
const ZHAO: By = { realm: "agent", id: "zhao", name: "赵敏", avatar: null };
const ref = ({ id, name, avatar }: By) => ({ id, name, avatar });

/** A desk of one conversation, which writes its log and knows its state: what the server does, in few lines. */
class Story {
  at = 1_000;
  version = 0;
  streams: Record<string, Entry[]> = { "conv:7": [], "conv:7:staff": [], "queue:it": [] };
  said: { msg_id: string; by: By }[] = [];
  conversation: Conversation;
  participants: ConversationSnapshot["participants"] = [];

  constructor() {
    this.conversation = {
      conv_id: "7",
      no: "IT-1",
      requester: { ...ref(WANG), department: "财务部" },
      group: { id: "it", name: "IT" },
      category: { id: "vpn", name_zh: "网络", name_en: "Network" },
      status: "queued",
      assignee: null,
      turn: "agent",
      waiting_since: this.at,
      opened_at: this.at,
      version: 1,
      last_message: null,
      resolution_no: 0,
      closed_how: null,
      previous_id: null,
      held_until: null,
      reopen_count: 0,
      rating: null,
    };
    this.version = 1;
    this.join(WANG, "requester");
    this.write(["conv:7", "queue:it", "employee:wang"], "conversation.opened", WANG, {
      row: this.row(),
    });
    this.say(WANG, "VPN 连不上");
  }

  row() {
    const { resolution_no, closed_how, previous_id, held_until, reopen_count, rating, ...row } =
      this.conversation;
    return { ...row };
  }

  get board(): string {
    return `queue:${this.conversation.group.id}`;
  }

  head(stream: string): number {
    return this.streams[stream]?.length ?? 0;
  }

  join(by: By, role: "requester" | "agent") {
    const joined = { realm: by.realm, person: ref(by), role, visible_from: 1, left_at: null };
    this.participants = [...this.participants.filter((p) => p.person.id !== by.id), joined];
    return { realm: by.realm, person: ref(by), role, visible_from: 1 };
  }

  write(streams: string[], type: string, by: By, data: object) {
    this.at += 10;
    const anchor = this.head("conv:7");
    for (const stream of streams) {
      const log = this.streams[stream] ?? [];
      this.streams[stream] = log;
      const event: DeskEvent = {
        id: `${type}-${this.at}`,
        type,
        v: 1,
        at: this.at,
        conv: "7",
        by,
        data,
      };
      if (!stream.startsWith("conv:7") || stream.endsWith(":staff")) event.anchor = anchor;
      log.push({ stream, position: log.length + 1, event });
    }
    return this.at;
  }

  say(by: By, body: string, command_id = `c-${this.at}`) {
    const turn = by.realm === "agent" ? "employee" : "agent";
    const msg_id = `m-${this.at}`;
    const data = { msg_id, command_id, kind: "text", body, attachments: [], reply_to: null, turn };
    const at = this.write(["conv:7", this.board], "message.posted", by, data);
    this.said.push({ msg_id, by });
    const last = {
      msg_id,
      position: this.head("conv:7"),
      kind: "text",
      realm: by.realm,
      at,
    } as const;
    const { waiting_since } = this.conversation;
    this.conversation = {
      ...this.conversation,
      last_message: last,
      turn,
      waiting_since: by.realm === "employee" ? (waiting_since ?? at) : null,
    };
  }

  note(by: By, body: string) {
    const data = { msg_id: `n-${this.at}`, command_id: `c-${this.at}`, body, mentions: [] };
    this.write(["conv:7:staff"], "note.posted", by, data);
  }

  change(change: Partial<Conversation>) {
    this.version += 1;
    this.conversation = { ...this.conversation, ...change, version: this.version };
    return this.version;
  }

  claim(by: By) {
    const all = ["conv:7", this.board, `agent:${by.id}`];
    const version = this.change({ status: "active", assignee: ref(by), held_until: null });
    this.write(all, "participant.joined", by, this.join(by, "agent"));
    this.write(all, "conversation.assigned", by, { agent: ref(by), version });
    this.write(["conv:7:staff", this.board], "reason.recorded", by, { cause: "claimed" });
  }

  leave(by: By) {
    const left_at = this.head("conv:7") + 1;
    this.participants = this.participants.map((p) =>
      p.person.id === by.id ? { ...p, left_at } : p,
    );
    const data = { realm: by.realm, person: ref(by), left_at };
    this.write(["conv:7", this.board, `agent:${by.id}`], "participant.left", by, data);
  }

  queue(cause: string) {
    const waiting_since = this.conversation.waiting_since ?? this.at;
    const back = { status: "queued", assignee: null, held_until: null, waiting_since } as const;
    const version = this.change(back);
    const data = { cause, group_id: this.conversation.group.id, waiting_since, version };
    this.write(["conv:7", this.board], "conversation.queued", LI, data);
  }

  lose() {
    const lost = this.participants.find((p) => p.realm === "agent" && p.left_at === null);
    if (lost) this.leave({ realm: "agent", ...lost.person });
    this.queue("agent_lost");
  }

  hold() {
    const held_until = this.at + 3_600_000;
    const version = this.change({ status: "on_hold", assignee: null, held_until });
    this.write(["conv:7", this.board], "conversation.held", LI, { until: held_until, version });
  }

  resume() {
    const version = this.change({ held_until: null, status: "queued" });
    this.write(["conv:7", this.board], "conversation.resumed", LI, { version });
    if (this.at % 20) this.claim(ZHAO);
    else this.queue("hold_over");
  }

  move() {
    const from = this.conversation.group.id;
    const group = from === "it" ? { id: "hw", name: "设备" } : { id: "it", name: "IT" };
    const streams = ["conv:7", this.board, `queue:${group.id}`];
    const version = this.change({ group });
    const data = { from_group: from, group, row: this.row(), version };
    this.write(streams, "conversation.moved", LI, data);
    this.queue("transfer");
  }

  categorise() {
    const { id } = this.conversation.category;
    const category = { ...this.conversation.category, id: id === "vpn" ? "wifi" : "vpn" };
    const version = this.change({ category });
    const data = { category_id: category.id, version };
    this.write(["conv:7", this.board], "conversation.categorised", LI, data);
  }

  reopen() {
    const reopen_count = this.conversation.reopen_count + 1;
    const waiting_since = this.at + 10;
    this.change({ status: "queued", waiting_since, closed_how: null, reopen_count });
    const data = { row: this.row(), reopen_count };
    this.write(["conv:7", this.board, "employee:wang"], "conversation.reopened", WANG, data);
    this.say(WANG, "又不行了");
    if (this.at % 20) this.claim(ZHAO);
    else this.queue("reopened");
  }

  recall() {
    const last = this.said.pop();
    if (!last) return;
    for (const log of Object.values(this.streams))
      for (const { event } of log)
        if (event.type === "message.posted" && event.data.msg_id === last.msg_id)
          event.data = { ...event.data, body: "", attachments: [], withdrawn: "recalled" };
    const data = { msg_id: last.msg_id, by: last.by.id, at: this.at };
    this.write(["conv:7", this.board], "message.recalled", last.by, data);
  }

  resolve(by: By) {
    const resolution_no = this.conversation.resolution_no + 1;
    const version = this.change({
      status: "resolved",
      assignee: null,
      waiting_since: null,
      held_until: null,
      rating: null,
      resolution_no,
    });
    const data = { how: "agent", resolution_no, version };
    this.write(["conv:7", this.board, "employee:wang"], "conversation.resolved", by, data);
  }

  rate(score: number) {
    const rating = { score, reasons: ["快"], comment: "" };
    this.conversation = { ...this.conversation, rating };
    const data = { resolution_no: this.conversation.resolution_no, ...rating };
    this.write(["employee:wang", "conv:7:staff", this.board], "rating.given", WANG, data);
    const closed = {
      status: "closed",
      closed_how: "rated",
      assignee: null,
      waiting_since: null,
    } as const;
    const version = this.change(closed);
    const all = ["conv:7", this.board, "employee:wang"];
    this.write(all, "conversation.closed", WANG, { how: "rated", version });
  }

  snapshot(staff = true): ConversationSnapshot {
    const streams = staff ? ["conv:7", "conv:7:staff"] : ["conv:7"];
    const entries = streams.flatMap((stream) => this.streams[stream] ?? []).sort(compareEntries);
    const positions = Object.fromEntries(
      streams.map((stream) => [stream, ["e1", this.head(stream)] as [string, number]]),
    );
    const { conversation, participants } = this;
    return { conversation, participants, marks: [], entries, more: false, positions };
  }

  rowView(me: By, read = 0): RowView {
    const public_ = this.streams["conv:7"] ?? [];
    const unread = public_.filter(
      ({ event, position }) =>
        event.type === "message.posted" &&
        event.data.withdrawn === undefined &&
        position > read &&
        event.by?.id !== me.id,
    );
    const texts = public_.filter(({ event }) => event.type === "message.posted");
    return {
      ...this.row(),
      preview: texts[texts.length - 1]?.event.data.body ?? null,
      unread: unread.length,
    };
  }

  /** The events after these heads, stream by stream but the streams mingled by chance. */
  since(heads: Record<string, number>, dice: () => number): Entry[] {
    const left = Object.keys(heads).map((stream) =>
      (this.streams[stream] ?? []).slice(heads[stream]),
    );
    const mingled: Entry[] = [];
    for (let rest = left.filter((log) => log.length); rest.length; ) {
      const next = rest[Math.floor(dice() * rest.length)]?.shift();
      if (next) mingled.push(next);
      rest = rest.filter((log) => log.length);
    }
    return mingled;
  }

  heads(streams: string[]): Record<string, number> {
    return Object.fromEntries(streams.map((stream) => [stream, this.head(stream)]));
  }

  /** One more thing happens, whatever fits. */
  goOn(dice: () => number) {
    const { status } = this.conversation;
    const chance = dice();
    const what = Math.floor(dice() * 12);
    if (what === 0 && status === "active") return this.hold();
    if (what === 1 && status === "active") return this.lose();
    if (what === 2 && (status === "active" || status === "queued")) return this.move();
    if (what === 4 && status !== "closed") return this.categorise();
    if (what === 3 && status !== "closed") return this.recall();
    if (status === "on_hold") return chance < 0.5 ? this.resume() : this.resolve(LI);
    if (status === "queued") return chance < 0.5 ? this.claim(LI) : this.say(WANG, "在吗");
    if (status === "resolved" && chance < 0.3) return this.rate(5);
    if (status === "resolved" && chance < 0.5) return this.reopen();
    if (status === "closed") return chance < 0.3 ? this.reopen() : this.note(LI, "已归档");
    if (chance < 0.3) return this.say(WANG, `问 ${this.at}`);
    if (chance < 0.6) return this.say(LI, `答 ${this.at}`);
    if (chance < 0.8) return this.note(LI, `记 ${this.at}`);
    if (chance < 0.9) return this.claim(ZHAO);
    return status === "active" ? this.resolve(LI) : this.note(LI, "等");
  }
}

const seeds = Array.from({ length: 60 }, (_, seed) => seed);
const opened = (story: Story, staff = true) =>
  foldConversation(null, { snapshot: story.snapshot(staff) });
const fold = (view: ConversationView, entries: Entry[]) =>
  entries.reduce((before, entry) => foldConversation(before, { entry }), view);

describe("the golden law: a snapshot and what came after is the later snapshot", () => {
  test.each(seeds)("for a conversation, seed %i", (seed) => {
    const dice = diceOf(seed);
    for (const staff of [true, false]) {
      const story = new Story();
      for (let n = Math.floor(dice() * 10); n > 0; n--) story.goOn(dice);
      const before = opened(story, staff);
      // An employee hears of their own rating on their personal stream.
      const heads = story.heads(["conv:7", staff ? "conv:7:staff" : "employee:wang"]);
      for (let n = Math.floor(dice() * 20); n > 0; n--) story.goOn(dice);

      const after = fold(before, story.since(heads, dice));

      expect(after).toEqual(opened(story, staff));
    }
  });

  test.each(seeds)("for a board, seed %i", (seed) => {
    const dice = diceOf(seed);
    const story = new Story();
    for (let n = Math.floor(dice() * 25); n > 0; n--) story.goOn(dice);

    for (const board of ["queue:it", "queue:hw"]) {
      const { rows } = (story.streams[board] ?? []).reduce(
        (view, entry) => foldBoard(view, { entry }),
        foldBoard(null, { snapshot: { me: LI, rows: [] } }),
      );
      const isThere = story.board === board && story.conversation.status !== "closed";
      const row = story.rowView(LI);
      // What only the server knows of it: where its last message stands, and, once moved here, its text.
      const known = {
        unread: 0,
        preview: expect.toBeOneOf([null, row.preview]),
        last_message: { ...row.last_message, position: expect.any(Number) },
      };
      expect(rows).toEqual(isThere ? { 7: { ...row, ...known } } : {});
    }
  });

  test.each(seeds)("for my rows, seed %i", (seed) => {
    const dice = diceOf(seed);
    for (const [me, personal] of [
      [WANG, "employee:wang"],
      [LI, "agent:li"],
    ] as const) {
      const story = new Story();
      for (let n = Math.floor(dice() * 10); n > 0; n--) story.goOn(dice);
      const before = mineOf(story, me);
      story.said = []; // of what was taken back before only the server knows whether I had read it
      const heads = story.heads([personal, "conv:7"]);
      for (let n = Math.floor(dice() * 20); n > 0; n--) story.goOn(dice);

      const news = story.since(heads, dice);
      const after = news.reduce((view, entry) => foldMine(view, { entry }), before);

      const left = news.some(({ stream, event }) => {
        return stream === "agent:li" && event.type === "participant.left";
      });
      expect(after.rows).toEqual(me === LI && left ? {} : { 7: story.rowView(me) });
    }
  });

  test("for a conversation of mine that is opened while I look", () => {
    const story = new Story();
    const empty = { me: WANG, rows: [], marks: {}, positions: {} };
    let view = foldMine(null, { snapshot: empty });
    for (const entry of story.streams["employee:wang"] ?? []) view = foldMine(view, { entry });
    expect(view.wanted).toEqual(["7"]);
    story.claim(LI);
    story.say(LI, "您好");
    for (const entry of story.streams["conv:7"] ?? []) view = foldMine(view, { entry });
    expect(view.rows).toEqual({ 7: story.rowView(WANG) });
    expect(view.wanted).toEqual(["7"]);
  });
});

function mineOf(story: Story, me: By): MineView {
  return foldMine(null, {
    snapshot: {
      me,
      rows: [story.rowView(me)],
      marks: {},
      positions: { "conv:7": ["e1", story.head("conv:7")] },
    },
  });
}

describe("what comes back, moves and waits", () => {
  const closed = () => {
    const story = new Story();
    story.claim(LI);
    story.say(LI, "好了");
    story.resolve(LI);
    story.rate(5);
    return story;
  };

  test("a closed conversation that is opened again elsewhere is watched from its beginning, and counted once", () => {
    const story = closed();
    const before = mineOf(story, WANG);
    const heads = story.heads(["employee:wang"]);
    story.reopen();
    story.claim(ZHAO);
    story.say(ZHAO, "在看");
    let view = before;
    for (const entry of story.since(heads, () => 0)) view = foldMine(view, { entry });
    expect(view.wanted).toEqual(["7"]);
    for (const entry of story.streams["conv:7"] ?? []) view = foldMine(view, { entry });
    expect(view.rows).toEqual({ 7: story.rowView(WANG) });
  });

  test("whoever has left a conversation and come back asks for its row", () => {
    const story = new Story();
    story.claim(LI);
    const before = mineOf(story, LI);
    const heads = story.heads(["agent:li", "conv:7"]);
    story.lose();
    story.claim(LI);
    let view = before;
    for (const entry of story.since(heads, () => 0)) view = foldMine(view, { entry });
    expect([view.rows, view.missing]).toEqual([{}, ["7"]]);
    view = withRows(view, [story.rowView(LI)], { "conv:7": ["e1", story.head("conv:7")] });
    expect(view.rows).toEqual({ 7: story.rowView(LI) });
  });

  test("a row that was asked for and comes after I have left is not taken", () => {
    const story = new Story();
    story.claim(LI);
    story.leave(LI);
    let view = foldMine(null, { snapshot: { me: LI, rows: [], marks: {}, positions: {} } });
    for (const entry of story.streams["agent:li"] ?? []) view = foldMine(view, { entry });
    expect(withRows(view, [story.rowView(LI)]).rows).toEqual({});
  });

  test("the place in the queue is kept while one waits, and given anew with all signs of the stream", () => {
    const story = new Story();
    const place = (place: number, conv = "7") => ({
      stream: "employee:wang",
      type: "queue_place",
      key: `queue_place:${conv}`,
      data: { conv, place, low_s: null, high_s: null, reason: "none_online" },
    });
    const told = foldMine(mineOf(story, WANG), { sign: place(3) });
    expect(told.places).toEqual({
      7: { place: 3, low_s: null, high_s: null, reason: "none_online" },
    });
    const signs = [place(1, "8")];
    expect(foldMine(told, { signs: [], stream: "conv:7" }).places).toEqual(told.places);
    expect(Object.keys(foldMine(told, { signs, stream: "employee:wang" }).places)).toEqual(["8"]);
    const heads = story.heads(["conv:7"]);
    story.claim(LI);
    const taken = story.since(heads, () => 0).reduce((v, entry) => foldMine(v, { entry }), told);
    expect(taken.places).toEqual({});
  });

  test("of what is recalled no text is left, and a lower version changes nothing", () => {
    const story = new Story();
    story.claim(LI);
    const view = opened(story);
    const heads = story.heads(["conv:7"]);
    story.say(LI, "密码是 hunter2");
    const text = fold(view, structuredClone(story.since(heads, () => 0)));
    story.recall();
    const after = fold(text, (story.streams["conv:7"] ?? []).slice(-1));
    expect(JSON.stringify(text)).toContain("hunter2");
    expect(JSON.stringify(after)).not.toContain("hunter2");
    const old = { by: null, v: 1, at: 9, conv: "7", id: "old", type: "conversation.closed" };
    const late = { ...old, data: { how: "forced", version: 1 } };
    const entry = { stream: "employee:wang", position: 99, event: late };
    expect(fold(after, [entry]).conversation).toEqual(after.conversation);
  });
});

describe("the timeline", () => {
  test("a note stands after the public entry it was anchored at, whenever it arrives", () => {
    const story = new Story();
    story.claim(LI);
    story.note(LI, "first");
    story.note(ZHAO, "second");
    story.say(WANG, "later");
    const empty = foldConversation(null, { snapshot: { ...story.snapshot(), entries: [] } });
    const all = story.snapshot().entries;
    const order = (view: ConversationView) => view.entries.map(({ event }) => event.id);
    expect(order(fold(empty, [...all].reverse()))).toEqual(all.map(({ event }) => event.id));
    const types = all.map(({ event }) => event.type);
    expect(types.slice(-4)).toEqual([
      "reason.recorded",
      "note.posted",
      "note.posted",
      "message.posted",
    ]);
  });

  test("the same entry twice is there once", () => {
    const story = new Story();
    const view = opened(story);
    expect(fold(view, story.snapshot().entries)).toEqual(view);
  });

  test("older entries are put in front, without repeats", () => {
    const story = new Story();
    story.claim(LI);
    const { entries } = story.snapshot();
    const late = { ...story.snapshot(), entries: entries.slice(3), more: true };
    const view = foldConversation(null, { snapshot: late });
    expect(withEarlier(view, { entries: entries.slice(0, 4), more: false })).toEqual(opened(story));
  });

  test("a type we do not know is an entry and changes nothing else", () => {
    const story = new Story();
    const view = opened(story);
    story.write(["conv:7"], "conversation.painted", LI, { colour: "blue" });
    const after = fold(view, story.snapshot().entries.slice(-1));
    expect(after.conversation).toEqual(view.conversation);
    expect(after.entries).toHaveLength(view.entries.length + 1);
  });

  test("the old view stays as it was", () => {
    const story = new Story();
    const view = opened(story);
    const before = structuredClone(view);
    const heads = story.heads(["conv:7", "conv:7:staff"]);
    story.claim(LI);
    story.say(LI, "好");
    fold(
      view,
      story.since(heads, () => 0),
    );
    expect(view).toEqual(before);
  });
});

describe("signs", () => {
  const sign = (type: string, key: string, data: object, stream = "conv:7", ttl_ms = 6_000) => ({
    stream,
    type,
    key,
    ttl_ms,
    data,
  });

  test("typing is shown, replaced by the message, and ended by a ttl of 0", () => {
    const story = new Story();
    const typing = sign("typing", "typing:agent:li", { by: LI, mode: "reply" });
    const view = foldConversation(opened(story), { sign: typing });
    expect(view.typing).toEqual([{ by: LI, mode: "reply" }]);
    expect(foldConversation(view, { sign: typing }).typing).toHaveLength(1);
    expect(foldConversation(view, { sign: { ...typing, ttl_ms: 0 } }).typing).toEqual([]);
    story.say(LI, "好了");
    expect(fold(view, story.snapshot().entries.slice(-1)).typing).toEqual([]);
  });

  test("all signs of a stream replace those of that stream only", () => {
    const view = [
      sign("typing", "typing:agent:li", { by: LI }),
      sign("typing", "typing:agent:zhao", { by: ZHAO }, "conv:7:staff"),
      sign("viewing", "viewing:agent:zhao", { agent: ref(ZHAO) }, "conv:7:staff"),
    ].reduce((before, each) => foldConversation(before, { sign: each }), opened(new Story()));
    expect(view.typing.map(({ mode }) => mode)).toEqual(["reply", "note"]);
    const after = foldConversation(view, { signs: [], stream: "conv:7" });
    expect(after.typing.map(({ mode }) => mode)).toEqual(["note"]);
    expect(after.viewing).toEqual([ref(ZHAO)]);
    const empty = foldConversation(after, { signs: [], stream: "conv:7:staff" });
    expect([empty.typing, empty.viewing]).toEqual([[], []]);
  });

  test("marks only rise, in whatever order they come; read lifts delivered", () => {
    const mark = (read: number, delivered: number) =>
      sign("marks", "marks:employee:wang", {
        person: "wang",
        realm: "employee",
        read,
        delivered,
        at: read,
      });
    const marks = [mark(3, 4), mark(2, 6), mark(5, 0)];
    for (const order of [marks, [...marks].reverse()]) {
      const view = order.reduce((v, s) => foldConversation(v, { sign: s }), opened(new Story()));
      expect(view.marks).toMatchObject([{ person: "wang", read: 5, delivered: 6 }]);
    }
  });

  test("status: the other side counts, and not oneself", () => {
    const mark = (realm: "agent" | "employee", person: string, delivered: number, read: number) =>
      ({ realm, person, delivered, read, at: 0 }) as Mark;
    const own = [mark("employee", "wang", 9, 9), mark("agent", "staff", 6, 4)];
    expect([4, 5, 6, 7].map((p) => statusOf(p, own, WANG))).toEqual([
      "read",
      "delivered",
      "delivered",
      "sent",
    ]);
    const agents = [
      mark("agent", "li", 9, 9),
      mark("agent", "zhao", 9, 9),
      mark("employee", "wang", 5, 3),
    ];
    expect([3, 5, 6].map((p) => statusOf(p, agents, LI))).toEqual(["read", "delivered", "sent"]);
  });
});

describe("unread", () => {
  const own = (read: number, unread?: number) => ({
    stream: "agent:li",
    type: "marks",
    key: "marks:7",
    data: { conv: "7", read, delivered: read, unread },
  });
  const start = () => {
    const story = new Story();
    story.claim(LI);
    story.say(WANG, "二");
    return { story, view: mineOf(story, LI) };
  };
  const more = (story: Story, view: MineView, bodies: string[]) => {
    const heads = story.heads(["conv:7"]);
    for (const body of bodies) story.say(WANG, body);
    return story.since(heads, () => 0).reduce((v, entry) => foldMine(v, { entry }), view);
  };

  test("reading all makes it 0", () => {
    const { story, view } = start();
    expect(view.rows[7]?.unread).toBe(2);
    expect(foldMine(view, { sign: own(story.head("conv:7")) }).rows[7]?.unread).toBe(0);
  });

  test("a mark between counts what came after it", () => {
    const { story, view } = start();
    const position = story.head("conv:7");
    const after = more(story, view, ["三", "四"]);
    expect(after.rows[7]?.unread).toBe(4);
    expect(foldMine(after, { sign: own(position + 1) }).rows[7]?.unread).toBe(1);
  });

  test("the server's number tells of those before the snapshot, and may be older than what is here", () => {
    const { story, view } = start();
    const after = more(story, view, ["三"]);
    expect(foldMine(after, { sign: own(2, 2) }).rows[7]?.unread).toBe(2);
    expect(foldMine(after, { sign: own(2, 1) }).rows[7]?.unread).toBe(1);
    expect(foldMine(after, { sign: own(2, 9) }).rows[7]?.unread).toBe(3);
  });

  test("a mark heard again changes nothing", () => {
    const { story, view } = start();
    const read = foldMine(view, { sign: own(story.head("conv:7"), 0) });
    const after = more(story, read, ["三"]);
    expect(
      foldMine(after, { signs: [own(story.head("conv:7") - 1, 0)], stream: "agent:li" }).rows[7]
        ?.unread,
    ).toBe(1);
  });

  test("a conversation I joined and have no row of is asked for once", () => {
    const story = new Story();
    const empty = { me: LI, rows: [], marks: {}, positions: {} };
    story.claim(LI);
    let view = foldMine(null, { snapshot: empty });
    for (const entry of story.streams["agent:li"] ?? []) view = foldMine(view, { entry });
    expect(view.missing).toEqual(["7"]);
    view = withRows(view, [story.rowView(LI)], { "conv:7": ["e1", story.head("conv:7")] });
    expect(view.missing).toEqual([]);
    expect(view.rows[7]?.unread).toBe(1);
    expect(more(story, view, ["在？"]).rows[7]?.unread).toBe(2);
  });
});
