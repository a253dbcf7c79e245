import { expect, test } from "vitest";
import { hasWecom, isRefused, signinAddress } from "./signin";

/** A desk that answers as a server would; it is the network's edge. */
const answering = (answer: () => unknown) => ({
  get: async <T>(path: string) => {
    expect(path).toBe("/login");
    return answer() as T;
  },
});

test("there is a code to scan where the server says so, and nowhere else", async () => {
  expect(await hasWecom(answering(() => ({ wecom: true })))).toBe(true);
  expect(await hasWecom(answering(() => ({ wecom: false })))).toBe(false);
  expect(await hasWecom(answering(() => ({})))).toBe(false);
});

test("a server that does not answer leaves the password alone", async () => {
  const silent = answering(() => {
    throw new Error("no network");
  });

  expect(await hasWecom(silent)).toBe(false);
});

test("one comes back to the conversation one was in, in one's language", () => {
  expect(signinAddress("/workbench/c/0193-a", "zh-CN")).toBe(
    "/login/agent?to=%2Fworkbench%2Fc%2F0193-a&lang=zh",
  );
  expect(signinAddress("/workbench", "en")).toBe("/login/agent?to=%2Fworkbench&lang=en");
});

test("a sign-in that was refused is seen by the address alone", () => {
  expect(isRefused("?login=failed")).toBe(true);
  expect(isRefused("?a=b")).toBe(false);
  expect(isRefused("")).toBe(false);
});
