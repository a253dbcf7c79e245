/** What waits on this device for one conversation, as it changes. */
import type { Desk, OutboxItem } from "@deskwire/client/desk";
import { onScopeDispose, type ShallowRef, shallowRef } from "vue";

export function useOutbox(desk: Desk, conv: string): Readonly<ShallowRef<readonly OutboxItem[]>> {
  const items = shallowRef<readonly OutboxItem[]>(desk.outbox.list(conv));
  onScopeDispose(
    desk.outbox.on(() => {
      items.value = [...desk.outbox.list(conv)];
    }),
  );
  return items;
}
