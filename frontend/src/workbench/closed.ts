/** Closed conversations, from the server page by page. Those that close before my eyes come from the bench. */
import type { Desk, RowView } from "@deskwire/client/desk";
import { type Ref, ref, type ShallowRef, shallowRef } from "vue";

interface Page {
  rows: RowView[];
  next: string | null;
}

export interface Closed {
  /** Null until the first page has come. */
  rows: Readonly<ShallowRef<readonly RowView[] | null>>;
  more: Readonly<Ref<boolean>>;
  loading: Readonly<Ref<boolean>>;
  failure: Readonly<ShallowRef<unknown>>;
  load(): Promise<void>;
  loadMore(): Promise<void>;
}

const LIMIT = 50;

export function useClosed(desk: Desk): Closed {
  const rows = shallowRef<readonly RowView[] | null>(null);
  const failure = shallowRef<unknown>(null);
  const loading = ref(false);
  const more = ref(false);
  let next: string | null = null;

  async function take(after: string | null): Promise<void> {
    if (loading.value) return;
    loading.value = true;
    failure.value = null;
    try {
      const from = after === null ? "" : `&after=${encodeURIComponent(after)}`;
      const page = await desk.get<Page>(`/conversations?view=closed&limit=${LIMIT}${from}`);
      rows.value = after === null ? page.rows : [...(rows.value ?? []), ...page.rows];
      next = page.next;
      more.value = next !== null;
    } catch (error) {
      failure.value = error;
    } finally {
      loading.value = false;
    }
  }

  return {
    rows,
    more,
    loading,
    failure,
    load: () => take(null),
    loadMore: () => (next === null ? Promise.resolve() : take(next)),
  };
}
