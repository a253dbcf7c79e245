/**
 * The store behind the lists and the bar: `/boot`, kept current by the streams it stands for. Ends with the scope
 * it was made in. After a failed load what was there stays; `load` tries again.
 */
import type { AgentBoot, Desk, Positions, RowView, Talk } from "@deskwire/client/desk";
import { type ComputedRef, computed, onScopeDispose, type ShallowRef, shallowRef } from "vue";
import { useAgain } from "../desk/again";
import { onNextFrame } from "./frames";
import {
  type BenchRow,
  type BenchView,
  type Counts,
  countsOf,
  foldBench,
  RowCache,
  withMine,
} from "./rows";

export interface Bench {
  boot: ComputedRef<AgentBoot | null>;
  rows: ComputedRef<ReadonlyMap<string, BenchRow>>;
  counts: ComputedRef<Counts>;
  /** Why the last load failed, or null. */
  failure: Readonly<ShallowRef<unknown>>;
  load(): Promise<void>;
}

const ROWS_MAX = 100;

export function useBench(desk: Desk): Bench {
  const view = shallowRef<BenchView | null>(null);
  const failure = shallowRef<unknown>(null);
  const cache = new RowCache();
  const asked = new Set<string>();
  let talk: Talk<BenchView> | null = null;
  let hasEnded = false;

  // A burst of events is one paint: the newest view of a frame is shown, not each of them.
  const show = onNextFrame((next: BenchView) => {
    view.value = next;
    askForMissing();
  });

  async function load(): Promise<void> {
    failure.value = null;
    asked.clear();
    try {
      if (talk) await talk.reload();
      else talk = await desk.follow<AgentBoot, BenchView>("/boot", foldBench, show, lose);
      if (hasEnded) talk.end();
      else askForMissing();
    } catch (error) {
      failure.value = error;
    }
  }

  useAgain(failure, load);

  /** My groups or rights have changed: what I may see is anew in `/boot`. */
  function lose(): void {
    load();
  }

  /** Conversations I have just joined: their preview and what I have not read is only known to the server. */
  async function askForMissing(): Promise<void> {
    const missing = (view.value?.mine.missing ?? []).filter((conv) => !asked.has(conv));
    const ids = missing.slice(0, ROWS_MAX);
    if (!talk || ids.length === 0) return;
    for (const conv of ids) asked.add(conv);
    try {
      await takeRows(talk, ids);
    } catch {
      // Asked again with the next event; until then the board's row stands for it.
      for (const conv of ids) asked.delete(conv);
    }
  }

  async function takeRows(of: Talk<BenchView>, ids: readonly string[]): Promise<void> {
    const query = ids.map(encodeURIComponent).join(",");
    const { rows, positions } = await desk.get<{ rows: RowView[]; positions: Positions }>(
      `/rows?ids=${query}`,
    );
    of.update((earlier) => withMine(earlier, rows, positions));
    of.add(positions);
  }

  onScopeDispose(() => {
    hasEnded = true;
    show.cancel();
    talk?.end();
  });

  const rows = computed(() => (view.value ? cache.rowsOf(view.value) : NOTHING));
  return {
    boot: computed(() => view.value?.boot ?? null),
    rows,
    counts: computed(() => countsOf(rows.value.values(), view.value?.boot.me.id ?? "")),
    failure,
    load,
  };
}

const NOTHING: ReadonlyMap<string, BenchRow> = new Map();
