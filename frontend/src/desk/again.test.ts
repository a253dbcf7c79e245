import { Refusal, Unreachable } from "@deskwire/client/desk";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { effectScope, nextTick, shallowRef } from "vue";
import { useAgain } from "./again";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const failing = () => {
  const failure = shallowRef<unknown>(null);
  const load = vi.fn();
  const scope = effectScope();
  scope.run(() => useAgain(failure, load));
  const fail = async (error: unknown) => {
    failure.value = error;
    await nextTick();
  };
  return { load, scope, fail };
};
const refused = (status: number, code: string, retry: "no" | "same_id") =>
  new Refusal(status, { code, message: code, detail: {}, retry });

test("a load that the network failed is tried again, later each time, until it stands", async () => {
  const { load, fail } = failing();
  for (let n = 1; n <= 3; n++) {
    await fail(new Unreachable("gone"));
    vi.advanceTimersByTime(30_000);
    expect(load).toHaveBeenCalledTimes(n);
    await fail(null);
  }
  vi.advanceTimersByTime(60_000);
  expect(load).toHaveBeenCalledTimes(3);
});

test("a server that asks to come later is asked later", async () => {
  const { load, fail } = failing();
  await fail(refused(503, "try_later", "same_id"));
  vi.advanceTimersByTime(30_000);
  expect(load).toHaveBeenCalledTimes(1);
});

test("what is refused is not asked for again, nor anything by a page that has gone", async () => {
  const { load, scope, fail } = failing();
  await fail(refused(404, "not_found", "no"));
  vi.advanceTimersByTime(60_000);
  await fail(new Unreachable("gone"));
  scope.stop();
  vi.advanceTimersByTime(60_000);
  expect(load).not.toHaveBeenCalled();
});
