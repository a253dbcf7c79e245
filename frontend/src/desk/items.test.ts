import type { By, Entry, Mark, OutboxItem, RowView } from "@deskwire/client/desk";
import { describe, expect, test } from "vitest";
import type { MessageItem } from "../parts/timeline";
import { headOf, itemsOf, keepSame, readMarkOf, type Told } from "./items";
import { newestFirst } from "./mine";

const me = { realm: "employee", id: "wang", name: "王小明" } as const;
const wang: By = { realm: "employee", id: "wang", name: "王小明", avatar: null };
const li: By = { realm: "agent", id: "li", name: "李娜", avatar: null };

function entry(
  position: number,
  type: string,
  by: By | null,
  data: object,
  stream = "conv:1",
): Entry {
  const event = { id: `e${stream}${position}`, type, v: 1, at: position, conv: "1", by, data };
  return { stream, position, event };
}

const posted = (position: number, by: By, body = `正文 ${position}`) =>
  entry(position, "message.posted", by, {
    msg_id: `m${position}`,
    command_id: `c${position}`,
    kind: "text",
    body,
  });

const waiting = (commandId: string, change: Partial<OutboxItem> = {}): OutboxItem => ({
  commandId,
  conv: "1",
  name: "post_message",
  args: { kind: "text", body: "等待中" },
  at: 99,
  state: "sending",
  refusal: null,
  ...change,
});

const told = (change: Partial<Told>): Told => ({
  entries: [],
  outbox: [],
  marks: [],
  me,
  ...change,
});
const messages = (change: Partial<Told>) =>
  itemsOf(told(change)).filter((item): item is MessageItem => item.kind === "message");

describe("what was taken back", () => {
  const withdrawn = (by: By, how: string): Entry => {
    const entry = posted(3, by, "");
    return { ...entry, event: { ...entry.event, data: { ...entry.event.data, withdrawn: how } } };
  };

  test("is a line in the place of the message, which says by whom", () => {
    const texts = [
      withdrawn(wang, "recalled"),
      withdrawn(li, "recalled"),
      withdrawn(li, "redacted"),
    ]
      .flatMap((entry) => itemsOf(told({ entries: [entry] })))
      .map(({ kind, text, position }) => [kind, text, position]);

    expect(texts).toEqual([
      ["line", "您撤回了一条消息", 3],
      ["line", "李娜 撤回了一条消息", 3],
      ["line", "一条消息已被删除", 3],
    ]);
  });
});

describe("messages", () => {
  test("carry their exact text, their author's side and their place", () => {
    const text = "  第一行\n\n\t末 ";

    const [own, other] = messages({ entries: [posted(1, wang, text), posted(2, li)] });

    expect(own).toMatchObject({ text, mine: true, position: 1, msgId: "m1", key: "c1" });
    expect(other).toMatchObject({ mine: false, status: null, author: { name: "李娜" } });
  });

  test("of mine rise from sent to delivered to read with the other side's mark", () => {
    const mark: Mark = { person: "staff", realm: "agent", delivered: 2, read: 1, at: 0 };
    const entries = [posted(1, wang), posted(2, wang), posted(3, wang)];

    expect(messages({ entries, marks: [mark] }).map((item) => item.status)).toEqual([
      "read",
      "delivered",
      "sent",
    ]);
  });

  test("of a kind that is not known yet say so", () => {
    const image = entry(1, "message.posted", li, { msg_id: "m1", command_id: "c1", kind: "image" });

    expect(messages({ entries: [image] })[0]?.text).toBe("暂不支持显示此消息");
  });

  test("by a person of the other realm with my id are not mine", () => {
    const twin: By = { ...wang, realm: "agent" };

    expect(messages({ entries: [posted(1, twin)] })[0]?.mine).toBe(false);
  });
});

describe("the outbox", () => {
  test("stands below what has come, under its command id", () => {
    const items = messages({ entries: [posted(1, li)], outbox: [waiting("c2")] });

    expect(items.map((item) => [item.key, item.status, item.position])).toEqual([
      ["c1", null, 1],
      ["c2", "sending", null],
    ]);
  });

  test("a bubble is replaced by its event, never doubled, and keeps its key", () => {
    const items = messages({ entries: [posted(2, wang)], outbox: [waiting("c2")] });

    expect(items.map((item) => [item.key, item.status])).toEqual([["c2", "sent"]]);
  });

  test("a refused message says why, one that grew old asks", () => {
    const refusal = { code: "closed", message: "", detail: {}, retry: "no" } as const;
    const items = messages({
      outbox: [
        waiting("a", { state: "failed", refusal }),
        waiting("b", { state: "failed" }),
        waiting("c", { state: "waiting" }),
      ],
    });

    expect(items.map((item) => item.failure)).toEqual([
      "会话已结束",
      "超过 24 小时未发出，是否仍要发送？",
      null,
    ]);
  });

  test("what is no message has no bubble", () => {
    expect(itemsOf(told({ outbox: [waiting("r", { name: "rate_conversation" })] }))).toEqual([]);
  });
});

describe("state events", () => {
  const joined = entry(1, "participant.joined", li, {
    role: "agent",
    person: { id: "li", name: "李娜" },
  });
  const assigned = entry(2, "conversation.assigned", li, { agent: { id: "li", name: "李娜" } });

  test("an agent who takes the conversation is one line, not two", () => {
    const lines = itemsOf(told({ entries: [joined, assigned] }));

    expect(lines.map((item) => item.text)).toEqual(["李娜 已接入"]);
  });

  test("an agent who only joins has a line", () => {
    expect(itemsOf(told({ entries: [joined] })).map((item) => item.text)).toEqual(["李娜 已加入"]);
  });

  test("an event without words leaves no gap", () => {
    expect(itemsOf(told({ entries: [entry(1, "push.notified", null, {})] }))).toEqual([]);
  });
});

describe("positions", () => {
  test("the head is the newest public one: a note does not raise it", () => {
    const note = entry(9, "note.posted", li, { msg_id: "n", body: "x" }, "conv:1:staff");

    expect(headOf([posted(4, li), note])).toBe(4);
    expect(headOf([])).toBe(0);
  });

  test("my read mark is that of my realm", () => {
    const mark = (realm: Mark["realm"], read: number): Mark => ({
      person: "wang",
      realm,
      delivered: read,
      read,
      at: 0,
    });

    expect(readMarkOf([mark("agent", 9), mark("employee", 3)], me)).toBe(3);
    expect(readMarkOf([], me)).toBe(0);
  });
});

test("items that did not change stay the same objects", () => {
  const before = itemsOf(told({ entries: [posted(1, wang), posted(2, wang)] }));
  const mark: Mark = { person: "staff", realm: "agent", delivered: 1, read: 0, at: 0 };
  const after = itemsOf(told({ entries: [posted(1, wang), posted(2, wang)], marks: [mark] }));

  const kept = keepSame(before, after);

  expect(kept[0]).not.toBe(before[0]);
  expect(kept[1]).toBe(before[1]);
  expect(kept).toEqual(after);
});

test("my rows stand by what happened last in them", () => {
  const row = (conv_id: string, opened_at: number, at?: number) =>
    ({ conv_id, opened_at, last_message: at === undefined ? null : { at } }) as RowView;
  const rows = Object.fromEntries(
    [row("a", 1, 5), row("b", 9), row("c", 2, 20)].map((each) => [each.conv_id, each]),
  );

  expect(newestFirst(rows).map((each) => each.conv_id)).toEqual(["c", "b", "a"]);
});
