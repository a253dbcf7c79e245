/** Since when what is on screen may be out of date: set 1.5 s after the loss was noticed, null while it is live. */
import type { DeskState } from "@deskwire/client/desk";
import { onScopeDispose, type Ref, ref, type ShallowRef, watch } from "vue";

const BLIP_MS = 1500;

export function useAsOf(connection: Readonly<ShallowRef<DeskState>>): Readonly<Ref<number | null>> {
  const asOf = ref<number | null>(null);
  let lostAt: number | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  watch(
    connection,
    ({ kind, heardAt }, before) => {
      if (kind === "live") {
        clearTimeout(timer);
        lostAt = null;
        asOf.value = null;
      } else if (before?.kind === "live" && lostAt === null) {
        // Not when the silence was noticed: what is shown is as old as the last frame.
        lostAt = heardAt ?? Date.now();
        timer = setTimeout(() => {
          asOf.value = lostAt;
        }, BLIP_MS);
      }
    },
    { immediate: true },
  );
  onScopeDispose(() => clearTimeout(timer));
  return asOf;
}
