import type { AgentBoot, Entry, Row, RowView } from "@deskwire/client/desk";
import { describe, expect, test } from "vitest";
import { type BenchView, countsOf, foldBench, idsOf, RowCache, rowOf, withMine } from "./rows";

const lina = { id: "lina", name: "李娜", avatar: null };
const wang = { id: "wangqiang", name: "王强", avatar: null };
const idle = { role: "agent", presence: "lost" as const, load: 0, capacity: 5 };
const zhang = { id: "zhangsan", name: "张三", avatar: null, department: "财务部" };

function row(conv_id: string, more: Partial<RowView> = {}): RowView {
  return {
    conv_id,
    no: `IT-${conv_id}`,
    requester: zhang,
    group: { id: "it", name: "IT" },
    category: { id: "net", name_zh: "网络", name_en: "Network" },
    status: "queued",
    assignee: null,
    turn: "agent",
    waiting_since: 100,
    opened_at: 90,
    version: 1,
    last_message: { msg_id: "m0", position: 2, kind: "text", realm: "employee", at: 100 },
    preview: "你好",
    unread: 0,
    ...more,
  };
}

function boot(board: RowView[], mine: RowView[] = []): AgentBoot {
  const me = {
    ...lina,
    realm: "agent" as const,
    role: "agent",
    login_name: "lina",
    language: null,
    availability: "online",
    load: 0,
    capacity: 5,
    groups: ["it"],
  };
  return {
    now: 0,
    me,
    until: 0,
    settings: { text_chars_max: 4000 },
    categories: [],
    groups: [{ id: "it", name: "IT" }],
    agents: [],
    boards: { it: board },
    rows: mine,
    marks: Object.fromEntries(mine.map(({ conv_id }) => [conv_id, { delivered: 2, read: 2 }])),
    positions: Object.fromEntries(mine.map(({ conv_id }) => [`conv:${conv_id}`, ["e", 2]])),
  };
}

const open = (...args: Parameters<typeof boot>) => foldBench(null, { snapshot: boot(...args) });

let nextId = 0;
function entry(stream: string, position: number, type: string, data: unknown, at = 200): Entry {
  nextId += 1;
  const by = { realm: "employee" as const, ...zhang };
  return { stream, position, event: { id: `e${nextId}`, type, v: 1, at, conv: "c1", by, data } };
}

const said = (stream: string, position: number, body: string, at = 200) =>
  entry(
    stream,
    position,
    "message.posted",
    { msg_id: `m${position}`, kind: "text", body, turn: "agent" },
    at,
  );
const assigned = (stream: string, agent = lina) =>
  entry(stream, 4, "conversation.assigned", { agent, version: 2 });
const joined = (stream: string, person = lina) =>
  entry(stream, 3, "participant.joined", {
    realm: "agent",
    person,
    role: "agent",
    visible_from: 1,
  });

function after(view: BenchView, ...entries: Entry[]): BenchView {
  return entries.reduce<BenchView>((seen, each) => foldBench(seen, { entry: each }), view);
}

const all = (view: BenchView) => [...new RowCache().rowsOf(view).values()];

describe("the lists", () => {
  test("a conversation opened by an employee comes into the queue by the board's stream", () => {
    const { preview: _, unread: __, ...fresh } = row("c1");
    const opened = entry("queue:it", 1, "conversation.opened", { row: fresh satisfies Row });

    const view = after(open([]), opened, said("queue:it", 2, "打印机脱机"));

    expect(idsOf("queue", all(view))).toEqual(["c1"]);
    expect(rowOf(view, "c1")).toMatchObject({ mine: false, preview: "打印机脱机" });
  });

  test("one that a colleague claims leaves the queue and says who has it", () => {
    const view = after(open([row("c1")]), joined("queue:it", wang), assigned("queue:it", wang));

    expect(idsOf("queue", all(view))).toEqual([]);
    expect(idsOf("all", all(view))).toEqual(["c1"]);
    expect(idsOf("mine", all(view))).toEqual([]);
    expect(rowOf(view, "c1")?.assignee).toEqual(wang);
  });

  test("one that I claim asks for its row, and then is mine", () => {
    const claimed = after(
      open([row("c1")]),
      joined("agent:lina"),
      assigned("agent:lina"),
      assigned("queue:it"),
    );
    expect(claimed.mine.missing).toEqual(["c1"]);

    const mine = row("c1", { status: "active", assignee: lina, version: 2, unread: 1 });
    const view = withMine(claimed, [mine], { "conv:c1": ["e", 4] });

    expect(view.mine.missing).toEqual([]);
    expect(idsOf("mine", all(view))).toEqual(["c1"]);
    expect(countsOf(all(view), "lina")).toMatchObject({
      mine: 1,
      queue: 0,
      all: 1,
      load: 1,
      unread: 1,
    });
  });

  test("a message counts as unread once, though it comes by two streams", () => {
    const mine = row("c1", { status: "active", assignee: lina, version: 2 });

    const view = after(
      open([mine], [mine]),
      said("queue:it", 7, "在吗"),
      said("conv:c1", 3, "在吗"),
    );

    expect(rowOf(view, "c1")).toMatchObject({ unread: 1, preview: "在吗" });
  });

  test("when the board is ahead of the conversation, the row shows the board's state and my own count", () => {
    const mine = row("c1", { status: "active", assignee: lina, version: 2, unread: 2 });
    const resolved = entry("queue:it", 9, "conversation.resolved", {
      how: "agent",
      resolution_no: 1,
      version: 3,
    });

    const view = after(open([mine], [mine]), said("queue:it", 8, "好了", 300), resolved);

    expect(rowOf(view, "c1")).toMatchObject({
      status: "resolved",
      preview: "好了",
      unread: 2,
      version: 3,
      mine: true,
    });
  });

  test("a conversation that closes moves to the closed ones", () => {
    const over = entry("queue:it", 9, "conversation.closed", { how: "cancelled", version: 2 });

    const view = after(open([row("c1")]), over);

    expect(idsOf("closed", all(view))).toEqual(["c1"]);
    expect(idsOf("queue", all(view))).toEqual([]);
    expect(idsOf("all", all(view))).toEqual([]);
    expect(rowOf(view, "c1")).toMatchObject({ status: "closed", waiting_since: null, version: 2 });
  });

  test("my own one, closed, is closed by whichever stream comes first", () => {
    const mine = row("c1", { status: "resolved", version: 3 });
    const byBoard = entry("queue:it", 9, "conversation.closed", { how: "rated", version: 4 });
    const byConversation = entry("conv:c1", 5, "conversation.closed", { how: "rated", version: 4 });

    for (const order of [
      [byBoard, byConversation],
      [byConversation, byBoard],
    ]) {
      const view = after(open([mine], [mine]), ...order);
      expect(idsOf("mine", all(view))).toEqual([]);
      expect(idsOf("closed", all(view))).toEqual(["c1"]);
    }
  });

  test("between the board's and my own stream a closed one is in no open list", () => {
    const mine = row("c1", { status: "resolved", version: 3 });
    const byBoard = entry("queue:it", 9, "conversation.closed", { how: "rated", version: 4 });

    const view = after(open([mine], [mine]), byBoard);

    expect(idsOf("mine", all(view))).toEqual([]);
    expect(idsOf("closed", all(view))).toEqual(["c1"]);
  });

  test("one that was closed, opened again and closed once more is closed as it was last", () => {
    const mine = row("c1", { status: "resolved", version: 3 });
    const steps = [
      entry("queue:it", 5, "conversation.closed", { how: "rated", version: 4 }),
      entry("queue:it", 6, "conversation.reopened", {
        row: row("c1", { version: 5 }),
        reopen_count: 1,
      }),
      entry("queue:it", 7, "conversation.queued", { waiting_since: 300, version: 6 }),
    ];
    const again = entry("queue:it", 8, "conversation.closed", { how: "forced", version: 7 });

    const view = after(open([mine]), ...steps);

    expect(idsOf("queue", all(view))).toEqual(["c1"]);
    expect(rowOf(after(view, again), "c1")).toMatchObject({ status: "closed", version: 7 });
  });

  test("what loses its agent is in the queue again, and nobody's", () => {
    const mine = row("c1", { status: "active", assignee: lina, version: 2 });
    const queued = { cause: "agent_lost", group_id: "it", waiting_since: 100, version: 3 };

    const view = after(open([mine]), entry("queue:it", 6, "conversation.queued", queued));

    expect(rowOf(view, "c1")).toMatchObject({ status: "queued", assignee: null, version: 3 });
    expect(idsOf("queue", all(view))).toEqual(["c1"]);
  });

  test("what I say of myself is shown, and what colleagues say is kept beside their names", () => {
    const changed = (agent_id: string) =>
      entry("desk", 1, "agent.availability_changed", { agent_id, availability: "break" });
    const view = open([]);
    view.boot.agents.push({ ...wang, ...idle, availability: "online" });

    const { boot } = after(view, changed("lina"), changed("wangqiang"));

    expect([boot.me.availability, boot.agents[0]?.availability]).toEqual(["break", "break"]);
    expect(view.boot.me.availability).toBe("online");
  });

  test("whether colleagues are there is kept beside their names, from what newest signs a page is given", () => {
    const sign = (id: string, stream = "desk") => ({
      stream,
      type: "presence",
      key: `presence:agent:${id}`,
      data: { principal: { realm: "agent", id }, state: "connected", load: 2 },
    });
    const view = open([]);
    const there = { ...idle, presence: "grace" as const, availability: "online" };
    view.boot.agents.push({ ...wang, ...there }, { ...lina, ...there });
    const told = (of: BenchView) => of.boot.agents.map(({ presence, load }) => [presence, load]);

    const one = foldBench(view, { sign: sign("wangqiang") });
    const all = foldBench(one, { stream: "desk", signs: [sign("lina")] });
    const other = foldBench(view, { sign: sign("lina", "conv:c1:staff") });

    expect(told(one)).toEqual([
      ["connected", 2],
      ["grace", 0],
    ]);
    expect(told(all)).toEqual([
      ["connected", 2],
      ["connected", 2],
    ]);
    expect(told(other)).toEqual(told(view));
  });

  test("a row that has not changed stays the same object", () => {
    const cache = new RowCache();
    const before = open([row("c1"), row("c2")]);
    const first = cache.rowsOf(before);

    const second = cache.rowsOf(after(before, said("queue:it", 5, "还在吗")));

    expect(second.get("c2")).toBe(first.get("c2"));
    expect(second.get("c1")).not.toBe(first.get("c1"));
  });
});
