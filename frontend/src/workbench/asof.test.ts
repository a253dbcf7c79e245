import type { DeskState } from "@deskwire/client/desk";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { effectScope, nextTick, shallowRef } from "vue";
import { useAsOf } from "./asof";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

const state = (kind: DeskState["kind"]): DeskState => ({
  kind,
  since: 0,
  code: null,
  retryAt: null,
});

async function to(connection: { value: DeskState }, kind: DeskState["kind"]): Promise<void> {
  connection.value = state(kind);
  await nextTick();
}

test("a blip of the connection dates nothing", async () => {
  const connection = shallowRef(state("live"));
  const asOf = effectScope().run(() => useAsOf(connection));

  await to(connection, "reconnecting");
  vi.advanceTimersByTime(1_400);
  await to(connection, "live");
  vi.advanceTimersByTime(5_000);

  expect(asOf?.value).toBeNull();
});

test("after 1.5 s what is shown is dated by the moment the connection went, until it is live again", async () => {
  const connection = shallowRef(state("live"));
  const asOf = effectScope().run(() => useAsOf(connection));

  await to(connection, "reconnecting");
  vi.advanceTimersByTime(1_000);
  await to(connection, "offline");
  vi.advanceTimersByTime(1_000);
  expect(asOf?.value).toBe(1_000_000);

  await to(connection, "catching_up");
  expect(asOf?.value).toBe(1_000_000);

  await to(connection, "live");
  expect(asOf?.value).toBeNull();
});

test("a loss noticed late is dated by the last frame", async () => {
  const connection = shallowRef(state("live"));
  const asOf = effectScope().run(() => useAsOf(connection));
  const heardAt = Date.now() - 30_000;
  connection.value = { ...state("reconnecting"), heardAt };
  await nextTick();
  vi.advanceTimersByTime(1500);
  expect(asOf?.value).toBe(heardAt);
});
