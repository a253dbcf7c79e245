/** The state of the page's one socket, for whoever shows it. */
import type { Desk, DeskState } from "@deskwire/client/desk";
import { onScopeDispose, type ShallowRef, shallowRef } from "vue";

export function useConnection(desk: Desk): Readonly<ShallowRef<DeskState>> {
  const state = shallowRef<DeskState>({
    kind: "connecting",
    since: Date.now(),
    code: null,
    retryAt: null,
  });
  onScopeDispose(
    desk.onState((now) => {
      state.value = now;
    }),
  );
  return state;
}
