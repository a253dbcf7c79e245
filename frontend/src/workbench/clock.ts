/** The server's time, once a second: waits and "today" are reckoned by it, not by this machine's clock. */
import type { Desk } from "@deskwire/client/desk";
import { onScopeDispose, type Ref, ref } from "vue";

export function useClock(desk: Desk): Readonly<Ref<number>> {
  const now = ref(desk.serverNow());
  const timer = setInterval(() => {
    now.value = desk.serverNow();
  }, 1000);
  onScopeDispose(() => clearInterval(timer));
  return now;
}
