/** The parts joined, over a server in a few lines: what a page sees of a desk. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Desk, openDesk, type Talk } from "./desk.ts";
import { foldConversation, foldMine } from "./fold.ts";
import type { ConversationSnapshot, ConversationView, MineSnapshot, MineView } from "./model.ts";

const WANG = { realm: "employee", id: "wang", name: "王五", avatar: null };
const CONV = "conv:7";

/** The one socket of the page, from the server's end. */
class Wire {
  static all: Wire[] = [];
  static get last(): Wire {
    const wire = Wire.all[Wire.all.length - 1];
    if (!wire) throw new Error("no socket");
    return wire;
  }
  onopen: () => void = () => undefined;
  onmessage: (message: { data: string }) => void = () => undefined;
  onclose: (event: { code: number }) => void = () => undefined;
  sent: any[] = [];
  url: string;
  constructor(url: string) {
    this.url = url;
    Wire.all.push(this);
  }
  send(text: string) {
    const frame = JSON.parse(text);
    this.sent.push(frame);
    if (frame.op === "identify") this.down({ op: "hello", now: Date.now() });
    for (const stream of Object.keys(frame.watch ?? {})) this.answer(stream, frame.watch[stream]);
  }
  answer(stream: string, [epoch, position]: [string, number]) {
    const head = position;
    this.down({ op: "watched", stream, epoch, position, head });
    this.down({ op: "live", stream, position, signs: [] });
  }
  down(frame: object) {
    queueMicrotask(() => this.onmessage({ data: JSON.stringify(frame) }));
  }
  close() {}
}

const turns = async () => {
  for (let turn = 0; turn < 60; turn++) await Promise.resolve();
};
const row = {
  conv_id: "7",
  version: 1,
  status: "active",
  last_message: null,
  unread: 0,
  preview: null,
};
const snapshotAt = (epoch: string, position: number) => ({
  conversation: row,
  participants: [],
  marks: [],
  entries: [],
  more: false,
  positions: { [CONV]: [epoch, position] },
});

let desk: Desk;
let answers: Record<string, () => [number, object]>;
let posted: { path: string; id: string | null; body: any }[];
let login: (why: number | null) => Promise<void>;

beforeEach(async () => {
  vi.useFakeTimers();
  Wire.all = [];
  posted = [];
  login = vi.fn(async () => undefined);
  answers = {
    "/boot": () => [
      200,
      {
        now: Date.now(),
        me: WANG,
        rows: [row],
        marks: {},
        positions: { "employee:wang": ["e1", 1], [CONV]: ["e1", 4] },
      },
    ],
    "/conversations/7": () => [200, snapshotAt("e1", 4)],
  };
  vi.stubGlobal("WebSocket", Wire);
  vi.stubGlobal("fetch", async (url: string, init: any) => {
    const path = url.replace("https://desk.test/api/employee", "");
    posted.push({
      path,
      id: init.headers["Command-Id"] ?? null,
      body: JSON.parse(init.body ?? "null"),
    });
    const [status, body] = answers[path]?.() ?? [
      404,
      { refusal: { code: "not_found", retry: "no" } },
    ];
    return { status, text: async () => JSON.stringify(body), headers: new Headers() };
  });
  const base = "https://desk.test";
  desk = openDesk({
    realm: "employee",
    client: "test/1",
    keep: "memory",
    base,
    login: (why) => login(why),
  });
  desk.watch({ "employee:wang": ["e1", 1] }, () => undefined);
  await turns();
  Wire.last.onopen();
  await turns();
});

afterEach(() => {
  desk.close();
  vi.useRealTimers();
});

let view: ConversationView;
const follow = (lost?: (why: string) => void) =>
  desk.follow<ConversationSnapshot, ConversationView>(
    "/conversations/7",
    foldConversation,
    (next) => {
      view = next;
    },
    lost,
  );

function message(position: number, command_id: string) {
  const data = { msg_id: `m${position}`, command_id, kind: "text", body: "好", turn: "agent" };
  const event = {
    id: `e${position}`,
    type: "message.posted",
    v: 1,
    at: 1,
    conv: "7",
    by: WANG,
    data,
  };
  return { op: "event", stream: CONV, position, event };
}

test("the socket of the realm, the state of the connection", () => {
  const kinds: string[] = [];
  desk.onState(({ kind }) => kinds.push(kind));
  expect(Wire.last.url).toBe("wss://desk.test/ws/employee");
  expect(kinds).toEqual(["live"]);
});

test("no socket before there is something to watch: a login form asks for none", async () => {
  const sockets = Wire.all.length;
  const early = openDesk({ realm: "agent", client: "test/1", keep: "memory", login });
  await turns();
  early.retryNow();
  expect(Wire.all.length).toBe(sockets);
  early.close();
});

test("a snapshot, then what follows it, folded", async () => {
  await follow();
  await turns();
  expect(Wire.last.sent).toContainEqual({ op: "watch", watch: { [CONV]: ["e1", 4] } });
  Wire.last.down(message(5, "c"));
  await turns();
  expect(view.entries.map(({ position }) => position)).toEqual([5]);
});

test("after a reset a new snapshot, watched from where it stands", async () => {
  await follow();
  answers["/conversations/7"] = () => [200, snapshotAt("e2", 9)];
  Wire.last.down({ op: "reset", stream: CONV, epoch: "e2", head: 9, why: "epoch" });
  await turns();
  Wire.last.down({ ...message(10, "c") });
  await turns();
  expect(Wire.last.sent).toContainEqual({ op: "watch", watch: { [CONV]: ["e2", 9] } });
  expect(view.entries.map(({ position }) => position)).toEqual([10]);
});

test("a new snapshot that cannot be had is tried for until it can; what is there stays", async () => {
  await follow();
  answers["/conversations/7"] = () => [502, {}];
  Wire.last.down({ op: "reset", stream: CONV, epoch: "e2", head: 9, why: "epoch" });
  await turns();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(view.conversation.conv_id).toBe("7");
  answers["/conversations/7"] = () => [200, snapshotAt("e2", 9)];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(Wire.last.sent).toContainEqual({ op: "watch", watch: { [CONV]: ["e2", 9] } });
});

test("what may no longer be watched is said", async () => {
  const why: string[] = [];
  await follow((each) => why.push(each));
  await turns();
  Wire.last.down({ op: "unwatched", stream: CONV, why: "revoked" });
  await turns();
  expect(why).toEqual(["revoked"]);
});

test("the first load throws", async () => {
  answers["/conversations/7"] = () => [404, { refusal: { code: "not_found", retry: "no" } }];
  await expect(follow()).rejects.toMatchObject({ code: "not_found", status: 404 });
});

test("a bubble until its event was folded, though the POST has answered", async () => {
  await desk.get("/boot");
  await follow();
  await turns();
  const reply = { command_id: "x", result: { msg_id: "m5" }, positions: { [CONV]: ["e1", 5] } };
  answers["/commands"] = () => [200, reply];
  await desk.command("post_message", { conv: "7", args: { body: "好" }, durable: true });
  expect(desk.outbox.list("7")).toHaveLength(1);
  Wire.last.down(message(5, "another's"));
  await turns();
  expect(desk.outbox.list("7")).toEqual([]);
  expect(view.entries).toHaveLength(1);
});

test("a message already in the snapshot is no bubble", async () => {
  await desk.get("/boot");
  answers["/commands"] = () => [503, { refusal: { code: "try_later", retry: "same_id" } }];
  void desk.command("post_message", { conv: "7", args: {}, commandId: "c", durable: true });
  await turns();
  const { op: _, ...entry } = message(4, "c");
  answers["/conversations/7"] = () => [200, { ...snapshotAt("e1", 4), entries: [entry] }];
  await follow();
  expect(desk.outbox.list("7")).toEqual([]);
});

test("401: a login, then the same again", async () => {
  let loggedIn = false;
  login = vi.fn(async () => {
    loggedIn = true;
  });
  const refused = { refusal: { code: "login_required", retry: "after_login" } };
  answers["/boot"] = () => (loggedIn ? [200, { ok: true }] : [401, refused]);
  expect(await desk.get("/boot")).toEqual({ ok: true });
  expect(login).toHaveBeenCalledTimes(1);
});

test("what is not kept on the device is tried a few times under one id, then thrown", async () => {
  answers["/commands"] = () => [503, { refusal: { code: "try_later", retry: "same_id" } }];
  const reply = desk.command("claim_conversation", { conv: "7", args: {} });
  const refused = expect(reply).rejects.toMatchObject({ code: "try_later" });
  await vi.advanceTimersByTimeAsync(20_000);
  await refused;
  const ids = posted.filter(({ path }) => path === "/commands").map(({ id }) => id);
  expect(ids).toHaveLength(4);
  expect(new Set(ids).size).toBe(1);
});

test("my own mark reaches the list and the conversation, which the server does not tell", async () => {
  let mine: MineView | undefined;
  await desk.follow<MineSnapshot, MineView>("/boot", foldMine, (next) => {
    mine = next;
  });
  const talk: Talk<ConversationView> = await follow();
  await turns();
  talk.read(4);
  await vi.advanceTimersByTimeAsync(200);
  expect(Wire.last.sent).toContainEqual({ op: "mark", stream: CONV, read: 4 });
  expect(mine?.marks).toEqual({ 7: { read: 4, delivered: 4 } });
  expect(view.marks).toMatchObject([{ person: "wang", realm: "employee", read: 4 }]);
});

test("end gives the stream up; another reader keeps it", async () => {
  const one = await follow();
  const two = await follow();
  await turns();
  one.end();
  expect(Wire.last.sent.map(({ op }) => op)).not.toContain("unwatch");
  two.end();
  expect(Wire.last.sent).toContainEqual({ op: "unwatch", streams: [CONV] });
});
