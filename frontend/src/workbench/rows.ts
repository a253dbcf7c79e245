/**
 * All conversations an agent sees in lists, folded from `/boot` and the streams it stands for: the boards of
 * my groups and the conversations I take part in. Pure. A conversation may be in both; the newer state wins, and
 * only my own copy knows what I have read.
 */
import {
  type AgentBoot,
  type BoardView,
  type Entry,
  type Ephemeral,
  type FoldInput,
  foldBoard,
  foldMine,
  type MineView,
  type Positions,
  type RowView,
  withRows,
} from "@deskwire/client/desk";
import { type ListName, sortedIds } from "./order";

export interface BenchRow extends RowView {
  /** I take part in it. */
  mine: boolean;
}

export interface BenchView {
  boot: AgentBoot;
  boards: Readonly<Record<string, BoardView>>;
  mine: MineView;
  /** Closed before my eyes; older ones come from the server page by page. */
  closed: Readonly<Record<string, BenchRow>>;
}

const BOARD = "queue:";

export function foldBench(view: BenchView | null, input: FoldInput<AgentBoot>): BenchView {
  if ("snapshot" in input) return benchOf(input.snapshot);
  if (view === null) throw new Error("a stream spoke before its snapshot");
  const closed = "entry" in input ? closedBy(view, input.entry) : view.closed;
  const group = boardOf(input);
  const board = group === null ? undefined : view.boards[group];
  const boards =
    group !== null && board ? { ...view.boards, [group]: foldBoard(board, input) } : view.boards;
  const mine = group === null ? foldMine(view.mine, input) : view.mine;
  const boot =
    "entry" in input
      ? bootAfter(view.boot, input.entry)
      : ("sign" in input ? [input.sign] : input.signs).reduce(bootWith, view.boot);
  return { ...view, boot, boards, mine, closed };
}

/** Who of the agents says what of themselves is told on `desk`, and to the agent. */
function bootAfter(boot: AgentBoot, { event: { type, data } }: Entry): AgentBoot {
  if (type !== "agent.availability_changed") return boot;
  const { agent_id, availability } = data;
  const agents = boot.agents.map((each) =>
    each.id === agent_id ? { ...each, availability } : each,
  );
  const me = boot.me.id === agent_id ? { ...boot.me, availability } : boot.me;
  return { ...boot, me, agents };
}

/** Who of the agents is there, and what they have in hand. A page is given the newest signs, so others stand. */
function bootWith(boot: AgentBoot, { type, stream, data }: Ephemeral): AgentBoot {
  if (type !== "presence" || stream !== "desk") return boot;
  const { principal, state, load } = data;
  const agents = boot.agents.map((each) =>
    each.id === principal.id ? { ...each, presence: state, load } : each,
  );
  return { ...boot, agents };
}

function benchOf(boot: AgentBoot): BenchView {
  const boards: Record<string, BoardView> = {};
  for (const [group, rows] of Object.entries(boot.boards)) {
    boards[group] = foldBoard(null, { snapshot: { me: boot.me, rows } });
  }
  return { boot, boards, mine: foldMine(null, { snapshot: boot }), closed: {} };
}

/** The group whose board an input belongs to, or null when it is of another stream. */
function boardOf(input: Exclude<FoldInput<AgentBoot>, { snapshot: AgentBoot }>): string | null {
  const stream =
    "entry" in input ? input.entry.stream : "signs" in input ? input.stream : input.sign.stream;
  return stream.startsWith(BOARD) ? stream.slice(BOARD.length) : null;
}

function closedBy(view: BenchView, { event }: Entry): BenchView["closed"] {
  const conv = event.conv;
  if (event.type !== "conversation.closed" || conv === null) return view.closed;
  const { version } = event.data as { version: number };
  const row = rowOf(view, conv);
  // It may have been closed before, and opened again since.
  if (!row || (view.closed[conv]?.version ?? 0) >= version) return view.closed;
  const over = { status: "closed" as const, assignee: null, waiting_since: null, version };
  return { ...view.closed, [conv]: { ...row, ...over } };
}

/** Rows that `GET /rows` gave for conversations I have just joined. */
export function withMine(view: BenchView, rows: RowView[], positions: Positions): BenchView {
  return { ...view, mine: withRows(view.mine, rows, positions) };
}

/** One conversation's row wherever it is known, or null. */
export function rowOf(view: BenchView, conv: string): BenchRow | null {
  const own = view.mine.rows[conv];
  let newest: BenchRow | null = own ? { ...own, mine: true } : null;
  for (const board of Object.values(view.boards)) {
    const row = board.rows[conv];
    if (row) newest = newest ? newer(newest, row) : { ...row, mine: false, unread: 0 };
  }
  const over = view.closed[conv];
  return over && (!newest || over.version > newest.version) ? over : newest;
}

/** My row, with what the board already knows better: its stream may be ahead of the conversation's. */
function newer(own: BenchRow, board: RowView): BenchRow {
  const row = board.version > own.version ? withState(own, board) : own;
  const ownAt = own.last_message?.at ?? 0;
  return (board.last_message?.at ?? 0) > ownAt ? withMessage(row, board) : row;
}

function withState(own: BenchRow, board: RowView): BenchRow {
  const { status, assignee, waiting_since, version, category, group } = board;
  return { ...own, status, assignee, waiting_since, version, category, group };
}

function withMessage(own: BenchRow, board: RowView): BenchRow {
  const { last_message, preview, turn, waiting_since } = board;
  return { ...own, last_message, preview, turn, waiting_since };
}

/** Remembers each merged row, so that what has not changed stays the same object and is not drawn again. */
export class RowCache {
  #sources = new Map<string, readonly (RowView | undefined)[]>();
  #rows = new Map<string, BenchRow>();

  /** Every known row by id. */
  rowsOf(view: BenchView): ReadonlyMap<string, BenchRow> {
    const boards = Object.values(view.boards);
    const ids = new Set([view.mine, ...boards].flatMap((part) => Object.keys(part.rows)));
    for (const id of Object.keys(view.closed)) ids.add(id);
    const sources = new Map<string, readonly (RowView | undefined)[]>();
    const rows = new Map<string, BenchRow>();
    for (const id of ids) {
      const parts = [view.mine.rows[id], view.closed[id], ...boards.map((board) => board.rows[id])];
      sources.set(id, parts);
      const row = this.#known(id, parts) ?? rowOf(view, id);
      if (row) rows.set(id, row);
    }
    this.#sources = sources;
    this.#rows = rows;
    return rows;
  }

  #known(id: string, parts: readonly (RowView | undefined)[]): BenchRow | undefined {
    const before = this.#sources.get(id);
    const same = before?.length === parts.length && parts.every((part, at) => part === before[at]);
    return same ? this.#rows.get(id) : undefined;
  }
}

const isIn: Readonly<Record<ListName, (row: BenchRow) => boolean>> = {
  mine: (row) => row.mine && row.status !== "closed",
  queue: (row) => row.status === "queued",
  all: (row) => row.status !== "closed",
  closed: (row) => row.status === "closed",
};

/** The ids of a list, in its order. */
export function idsOf(list: ListName, rows: Iterable<BenchRow>): string[] {
  return sortedIds(list, [...rows].filter(isIn[list]));
}

export interface Counts {
  mine: number;
  queue: number;
  all: number;
  /** My active conversations: what counts against my capacity. */
  load: number;
  /** Messages I have not read, in conversations I take part in. */
  unread: number;
}

export function countsOf(rows: Iterable<BenchRow>, me: string): Counts {
  const counts: Counts = { mine: 0, queue: 0, all: 0, load: 0, unread: 0 };
  for (const row of rows) {
    if (isIn.all(row)) counts.all += 1;
    if (isIn.queue(row)) counts.queue += 1;
    if (isIn.mine(row)) {
      counts.mine += 1;
      counts.unread += row.unread;
    }
    if (row.status === "active" && row.assignee?.id === me) counts.load += 1;
  }
  return counts;
}
