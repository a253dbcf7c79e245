/**
 * What a page knows before any conversation is open: `/boot`, and my rows as events change them.
 * After a failed load what was there stays; `load` tries again.
 */
import {
  type Desk,
  type FoldInput,
  foldMine,
  type MineSnapshot,
  type MineView,
  type RowView,
  type Talk,
} from "@deskwire/client/desk";
import { type ComputedRef, computed, onScopeDispose, type ShallowRef, shallowRef } from "vue";

import { useAgain } from "./again";

interface View<Boot> {
  boot: Boot;
  mine: MineView;
}

export interface Mine<Boot> {
  boot: ComputedRef<Boot | null>;
  /** Newest first. */
  rows: ComputedRef<readonly RowView[]>;
  /** Where I stand in which queue, by conversation. */
  places: ComputedRef<MineView["places"]>;
  /** Why the last load failed, or null. */
  failure: Readonly<ShallowRef<unknown>>;
  load(): Promise<void>;
}

export function useMine<Boot extends MineSnapshot>(desk: Desk): Mine<Boot> {
  const view = shallowRef<View<Boot> | null>(null);
  const failure = shallowRef<unknown>(null);
  let talk: Talk<View<Boot>> | null = null;
  const watched = new Set<string>();

  async function load(): Promise<void> {
    failure.value = null;
    try {
      if (talk) await talk.reload();
      else talk = await desk.follow<Boot, View<Boot>>("/boot", fold, show);
      watchWanted();
    } catch (error) {
      failure.value = error;
    }
  }

  function show(next: View<Boot>): void {
    view.value = next;
    watchWanted();
  }

  /** A conversation opened just now, perhaps on another device: from its first event on. */
  function watchWanted(): void {
    for (const conv of view.value?.mine.wanted ?? []) {
      const stream = `conv:${conv}`;
      const isOfBoot = stream in (view.value?.boot.positions ?? {});
      if (!talk || isOfBoot || watched.has(stream)) continue;
      watched.add(stream);
      talk.add({ [stream]: [null, 0] });
    }
  }

  useAgain(failure, load);
  onScopeDispose(() => talk?.end());
  return {
    boot: computed(() => view.value?.boot ?? null),
    places: computed(() => view.value?.mine.places ?? {}),
    rows: computed(() => newestFirst(view.value?.mine.rows ?? {})),
    failure,
    load,
  };
}

function fold<Boot extends MineSnapshot>(
  view: View<Boot> | null,
  input: FoldInput<Boot>,
): View<Boot> {
  const mine = foldMine(view?.mine ?? null, input);
  if ("snapshot" in input) return { boot: input.snapshot, mine };
  if (!view) throw new Error("an event before the snapshot");
  return { boot: view.boot, mine };
}

/** By what happened last in them. */
export function newestFirst(rows: Record<string, RowView>): RowView[] {
  const last = (row: RowView) => row.last_message?.at ?? row.opened_at;
  return Object.values(rows).sort((a, b) => last(b) - last(a) || (a.conv_id < b.conv_id ? 1 : -1));
}
