import { expect, test, vi } from "vitest";
import { commandId, randomId } from "./ids.ts";
import { storeOver } from "./storage.ts";
import { Tab } from "./tab.ts";

const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("command ids are UUIDv7 that sort as they were made", () => {
  const later = 4_000_000_000_000; // ids never go back, and other tests have made some by now
  const ids = Array.from({ length: 10_000 }, () => commandId(later));
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
  for (const id of ids.slice(0, 50)) expect(id).toMatch(UUID7);
  expect(parseInt((ids[0] ?? "").replace(/-/g, "").slice(0, 12), 16)).toBe(later);
});

test("a webview without crypto still gets ids", () => {
  vi.stubGlobal("crypto", undefined);
  try {
    expect(commandId()).toMatch(UUID7);
    expect(randomId("d-")).toMatch(/^d-[0-9a-f]{24}$/);
  } finally {
    vi.unstubAllGlobals();
  }
});

test("forbidden storage becomes memory", () => {
  const store = storeOver(() => {
    throw new Error("SecurityError");
  });
  expect(store.set("a", "1")).toBe(false);
  expect(store.get("a")).toBe("1");
  expect(store.keys()).toEqual(["a"]);
  store.remove("a");
  expect(store.get("a")).toBeNull();
});

test("a full storage becomes memory for what did not fit", () => {
  const full = { getItem: () => null, removeItem: () => undefined } as unknown as Storage;
  full.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  const store = storeOver(() => full);
  store.set("a", "1");
  expect(store.get("a")).toBe("1");
});

function memory() {
  return storeOver(() => {
    throw new Error("none");
  });
}

/** Web Locks of one browser; what is held stays held. */
function locks() {
  const held = new Set<string>();
  return {
    request: async (name: string, _: object, act: (lock: object | null) => unknown) => {
      const free = !held.has(name);
      if (free) held.add(name);
      return act(free ? {} : null);
    },
  };
}

test("a tab keeps its id over a reload, a duplicated one takes another, the device is one", async () => {
  const local = memory();
  const session = memory();
  vi.stubGlobal("navigator", { locks: locks() });
  const first = await new Tab(local, session).identity(false);
  const copy = memory();
  copy.set("deskwire:tab", session.get("deskwire:tab") ?? "");
  const duplicate = new Tab(local, copy);
  const second = await duplicate.identity(false);
  vi.stubGlobal("navigator", { locks: locks() });
  const reloaded = await new Tab(local, session).identity(false);
  vi.unstubAllGlobals();
  expect(reloaded).toEqual(first);
  expect(second.device).toBe(first.device);
  expect(second.tab).not.toBe(first.tab);
  expect(first.tab).toMatch(/^[A-Za-z0-9_-]{8,64}$/);
});

test("without Web Locks a tab has its id all the same; 在此使用 takes a new one", async () => {
  const tab = new Tab(memory(), memory());
  const first = await tab.identity(false);
  expect(await tab.identity(false)).toEqual(first);
  expect((await tab.identity(true)).tab).not.toBe(first.tab);
});
