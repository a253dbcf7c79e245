// @vitest-environment jsdom
import type { AgentBoot, Desk, Entry, FoldInput, Positions } from "@deskwire/client/desk";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { effectScope } from "vue";
import { type Bench, useBench } from "./bench";
import type { BenchView } from "./rows";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const lina = { id: "lina", name: "李娜", avatar: null };

function boot(): AgentBoot {
  return {
    now: 0,
    me: {
      ...lina,
      realm: "agent",
      role: "agent",
      login_name: "lina",
      language: null,
      availability: "online",
      load: 0,
      capacity: 5,
      groups: ["it"],
    },
    until: 0,
    settings: { text_chars_max: 4000 },
    categories: [],
    groups: [],
    agents: [],
    boards: { it: [] },
    rows: [],
    marks: {},
    positions: {},
  };
}

const joined: Entry = {
  stream: "agent:lina",
  position: 1,
  event: {
    id: "e1",
    type: "participant.joined",
    v: 1,
    at: 1,
    conv: "c1",
    by: { realm: "agent", ...lina },
    data: { realm: "agent", person: lina, role: "agent", visible_from: 1 },
  },
};
const row = { conv_id: "c1", status: "active", assignee: lina, unread: 2, version: 2 };

/** A desk that folds by hand; it stands at the network's edge. */
class EdgeDesk {
  isDown = false;
  readonly asked: string[] = [];
  readonly added: Positions[] = [];
  ended = 0;
  #view: BenchView | null = null;
  #fold: ((view: BenchView | null, input: FoldInput<AgentBoot>) => BenchView) | null = null;
  #show: ((view: BenchView) => void) | null = null;

  async get(path: string): Promise<unknown> {
    this.asked.push(path);
    if (this.isDown) throw new Error("unreachable");
    return { rows: [row], positions: { "conv:c1": ["e", 4] } };
  }

  async follow(
    _path: string,
    fold: (view: BenchView | null, input: FoldInput<AgentBoot>) => BenchView,
    show: (view: BenchView) => void,
  ) {
    if (this.isDown) throw new Error("unreachable");
    this.#fold = fold;
    this.#show = show;
    this.#set(fold(null, { snapshot: boot() }));
    return {
      update: (change: (view: BenchView) => BenchView) =>
        this.#set(change(this.#view as BenchView)),
      add: (positions: Positions) => this.added.push(positions),
      reload: async () => this.#set(fold(this.#view, { snapshot: boot() })),
      end: () => {
        this.ended += 1;
      },
    };
  }

  hear(entry: Entry): void {
    if (this.#fold) this.#set(this.#fold(this.#view, { entry }));
  }

  #set(view: BenchView): void {
    this.#view = view;
    this.#show?.(view);
  }
}

async function opened(edge: EdgeDesk): Promise<{ bench: Bench; end: () => void }> {
  const scope = effectScope();
  const bench = scope.run(() => useBench(edge as unknown as Desk)) as Bench;
  await bench.load();
  await vi.advanceTimersByTimeAsync(200);
  return { bench, end: () => scope.stop() };
}

describe("the bench", () => {
  test("a conversation that I join is asked for once, and watched from where its row stands", async () => {
    const edge = new EdgeDesk();
    const { bench } = await opened(edge);

    edge.hear(joined);
    edge.hear({ ...joined, position: 2 });
    await vi.advanceTimersByTimeAsync(200);

    expect(edge.asked).toEqual(["/rows?ids=c1"]);
    expect(edge.added).toEqual([{ "conv:c1": ["e", 4] }]);
    expect(bench.counts.value).toMatchObject({ mine: 1, load: 1, unread: 2 });
  });

  test("when its row does not come it is asked for again with the next event", async () => {
    const edge = new EdgeDesk();
    const { bench } = await opened(edge);

    edge.isDown = true;
    edge.hear(joined);
    await vi.advanceTimersByTimeAsync(200);
    edge.isDown = false;
    edge.hear({ ...joined, position: 2 });
    await vi.advanceTimersByTimeAsync(200);

    expect(edge.asked).toHaveLength(2);
    expect(bench.counts.value.mine).toBe(1);
  });

  test("a first load that fails says so, and the next one takes it back", async () => {
    const edge = new EdgeDesk();
    edge.isDown = true;
    const { bench } = await opened(edge);
    expect(bench.failure.value).toBeInstanceOf(Error);

    edge.isDown = false;
    await bench.load();
    await vi.advanceTimersByTimeAsync(200);

    expect(bench.failure.value).toBeNull();
    expect(bench.boot.value?.me.id).toBe("lina");
  });

  test("it stops listening with the scope it was made in", async () => {
    const edge = new EdgeDesk();
    const { end } = await opened(edge);

    end();

    expect(edge.ended).toBe(1);
  });
});
