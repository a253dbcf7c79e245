import {
  type ConversationSnapshot,
  type ConversationView,
  type Desk,
  type Entry,
  type FoldInput,
  type Mark,
  type OutboxItem,
  Refusal,
} from "@deskwire/client/desk";
import { describe, expect, test } from "vitest";
import { type EffectScope, effectScope, nextTick } from "vue";
import { type OpenConversation, useConversation } from "./conversation";

const me = { realm: "employee", id: "wang", name: "王小明" } as const;

function posted(position: number, id: "wang" | "li"): Entry {
  const realm = id === "wang" ? "employee" : "agent";
  const by = { realm, id, name: id, avatar: null } as const;
  const data = {
    msg_id: `m${position}`,
    command_id: `c${position}`,
    kind: "text",
    body: `${position}`,
  };
  const event = {
    id: `e${position}`,
    type: "message.posted",
    v: 1,
    at: position,
    conv: "1",
    by,
    data,
  };
  return { stream: "conv:1", position, event };
}

function snapshotOf(entries: Entry[], read: number): ConversationSnapshot {
  const mark: Mark = { person: "wang", realm: "employee", delivered: read, read, at: 0 };
  const conversation = { conv_id: "1", status: "active", version: 1 };
  return {
    conversation: conversation as ConversationSnapshot["conversation"],
    participants: [],
    marks: [mark],
    entries,
    more: entries[0]?.position !== 1,
    positions: { "conv:1": ["e", entries.length] },
  };
}

/** The desk port, in memory: one conversation, an outbox, and what was asked of it. */
class MemoryDesk {
  readonly reads: number[] = [];
  readonly typed: boolean[] = [];
  readonly paths: string[] = [];
  items: OutboxItem[] = [];
  ended = 0;
  failure: Error | null = null;
  private heard = new Set<() => void>();
  private fold: ((input: FoldInput<ConversationSnapshot>) => void) | null = null;
  private readonly snapshot: ConversationSnapshot;

  constructor(snapshot: ConversationSnapshot) {
    this.snapshot = snapshot;
  }

  readonly outbox = {
    list: (conv: string) => this.items.filter((item) => item.conv === conv),
    on: (cb: () => void) => {
      this.heard.add(cb);
      return () => this.heard.delete(cb);
    },
    retry: () => undefined,
    remove: (id: string) => this.drop(id),
    confirm: (id: string) => this.drop(id),
  };

  follow(
    _path: string,
    fold: (
      view: ConversationView | null,
      input: FoldInput<ConversationSnapshot>,
    ) => ConversationView,
    show: (view: ConversationView) => void,
  ) {
    if (this.failure) return Promise.reject(this.failure);
    let view = fold(null, { snapshot: this.snapshot });
    show(view);
    this.fold = (input) => {
      view = fold(view, input);
      show(view);
    };
    return Promise.resolve({
      view: () => view,
      update: (change: (view: ConversationView) => ConversationView) => {
        view = change(view);
        show(view);
      },
      read: (position: number) => this.reads.push(position),
      typing: (on: boolean) => this.typed.push(on),
      viewing: () => undefined,
      reload: () => Promise.resolve(),
      end: () => {
        this.ended += 1;
      },
    });
  }

  get(path: string) {
    this.paths.push(path);
    return Promise.resolve({ entries: [posted(1, "li"), posted(2, "wang")], more: false });
  }

  command(name: string, { conv = "", args }: { conv?: string; args: object }) {
    const commandId = "c9";
    this.items.push({ commandId, conv, name, args, at: 9, state: "sending", refusal: null });
    this.tell();
    return new Promise(() => undefined);
  }

  arrive(entry: Entry) {
    this.fold?.({ entry });
  }

  private drop(id: string) {
    this.items = this.items.filter((item) => item.commandId !== id);
    this.tell();
  }

  private tell() {
    for (const listener of this.heard) listener();
  }
}

async function opened(desk: MemoryDesk): Promise<{ open: OpenConversation; scope: EffectScope }> {
  const scope = effectScope();
  const open = scope.run(() => useConversation(desk as unknown as Desk, "1", me));
  if (!open) throw new Error("the scope did not run");
  await open.load();
  return { open, scope };
}

const keys = (open: OpenConversation) => open.items.value.map((item) => item.key);

describe("a conversation on screen", () => {
  test("an own message is a bubble at once and becomes its event under the same key", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(1, "li")], 1));
    const { open } = await opened(desk);

    open.post("9");
    expect(keys(open)).toEqual(["c1", "c9"]);
    desk.arrive(posted(9, "wang"));
    await nextTick();

    expect(keys(open)).toEqual(["c1", "c9"]);
    expect(open.items.value[1]).toMatchObject({ status: "sent", position: 9 });
    expect(desk.items).toEqual([]);
  });

  test("what is new at the opening is marked, what comes afterwards is not", async () => {
    const { open } = await opened(
      new MemoryDesk(snapshotOf([posted(1, "li"), posted(2, "li")], 1)),
    );
    expect(open.newAfter.value).toBe(1);

    const desk = new MemoryDesk(snapshotOf([posted(1, "li")], 1));
    const { open: read } = await opened(desk);
    desk.arrive(posted(2, "li"));

    expect(read.newAfter.value).toBeNull();
    read.comeBack();
    expect(read.newAfter.value).toBe(1);
  });

  test("it opens with the first new message, however many came after it", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(3, "li"), posted(4, "li")], 1));

    const { open } = await opened(desk);

    expect(keys(open)).toEqual(["c1", "c2", "c3", "c4"]);
    expect(open.newAfter.value).toBe(1);
  });

  test("all is read up to the newest position", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(1, "li"), posted(2, "li")], 0));
    const { open } = await opened(desk);

    open.readAll();

    expect(desk.reads).toEqual([2]);
  });

  test("older entries come in front, once", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(3, "li"), posted(4, "li")], 4));
    const { open } = await opened(desk);

    await Promise.all([open.loadOlder(), open.loadOlder()]);
    await open.loadOlder();

    expect(desk.paths).toEqual(["/conversations/1/messages?before=3&limit=50"]);
    expect(keys(open)).toEqual(["c1", "c2", "c3", "c4"]);
  });

  test("typing goes out at most every three seconds, and its end at once", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(1, "li")], 1));
    const { open } = await opened(desk);

    for (let count = 0; count < 5; count += 1) open.typing(true);
    open.typing(false);
    open.typing(false);

    expect(desk.typed).toEqual([true, false]);
  });

  test("a failed load is kept as it is, and can be tried again", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(1, "li")], 1));
    const body = { code: "not_found", message: "", detail: {}, retry: "no" } as const;
    desk.failure = new Refusal(404, body);
    const { open } = await opened(desk);
    expect(open.failure.value).toBe(desk.failure);

    desk.failure = null;
    await open.load();

    expect(open.failure.value).toBeNull();
    expect(keys(open)).toEqual(["c1"]);
  });

  test("leaving the screen ends the watch", async () => {
    const desk = new MemoryDesk(snapshotOf([posted(1, "li")], 1));
    const { scope } = await opened(desk);

    scope.stop();

    expect(desk.ended).toBe(1);
  });
});
