/** A load that failed for the network's sake is tried again by itself: a page comes back without a hand. */
import { isTransient, retryDelay } from "@deskwire/client/desk";
import { onScopeDispose, type ShallowRef, watch } from "vue";

/** `failure` holds why the last load failed, or null; `load` sets it anew. */
export function useAgain(failure: Readonly<ShallowRef<unknown>>, load: () => unknown): void {
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  watch(failure, (error) => {
    clearTimeout(timer);
    if (!isTransient(error)) return;
    failures += 1;
    timer = setTimeout(load, retryDelay(failures, error, Math.random));
  });
  onScopeDispose(() => clearTimeout(timer));
}
