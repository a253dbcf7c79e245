import { describe, expect, test, vi } from "vitest";
import { isTransient, Refusal, readAnswer, requestsTo, retryDelay, Unreachable } from "./http.ts";

const refusal = { code: "closed", message: "已结束", detail: { a: 1 }, retry: "decide_anew" };
const caught = (status: number, text: string): any => {
  try {
    return readAnswer(status, text);
  } catch (error) {
    return error;
  }
};

describe("an answer", () => {
  test("is its JSON", () => {
    expect(readAnswer(200, '{"a":1}')).toEqual({ a: 1 });
  });

  test("is a refusal when the server says no", () => {
    const error = caught(409, JSON.stringify({ refusal }));
    expect(error).toBeInstanceOf(Refusal);
    expect(error).toMatchObject({ status: 409, ...refusal });
  });

  test.each([
    [200, "<html>"],
    [302, ""],
    [408, ""],
    [429, ""],
    [500, "oops"],
    [502, "<html>"],
    [504, "{}"],
  ])("is none of ours with %i %s", (status, text) => {
    expect(caught(status, text)).toBeInstanceOf(Unreachable);
  });

  test.each([404, 405, 413, 414])("is a refusal with a bare %i", (status) => {
    expect(caught(status, "Not here")).toMatchObject({ code: `http_${status}`, retry: "no" });
  });
});

test("again by itself: 503, 429, same id, no answer; nothing else", () => {
  const of = (status: number, retry: any) => new Refusal(status, { ...refusal, retry });
  expect(isTransient(of(503, "no"))).toBe(true);
  expect(isTransient(of(429, "no"))).toBe(true);
  expect(isTransient(of(409, "same_id"))).toBe(true);
  expect(isTransient(new Unreachable("x"))).toBe(true);
  expect(isTransient(of(409, "decide_anew"))).toBe(false);
  expect(isTransient(new TypeError("ours"))).toBe(false);
});

test("a delay is 1 … 30 s", () => {
  expect([1, 2, 5, 6, 99].map((n) => retryDelay(n, null, () => 0))).toEqual([
    1_000, 2_000, 16_000, 30_000, 30_000,
  ]);
  expect(retryDelay(1, null, () => 0.999)).toBeLessThan(1_500);
});

test("where no browser sends the login, a request carries headers of its own, asked for each time", async () => {
  const sent: any[] = [];
  vi.stubGlobal("fetch", async (url: string, { headers }: any) => {
    sent.push([url, headers.Cookie, headers["Deskwire-Client"]]);
    return new Response("{}");
  });
  let login = "a";
  const request = requestsTo("http://desk/api/employee", "x/1", () => ({ Cookie: login }));

  await request("GET", "/boot");
  login = "b";
  await request("GET", "/boot");

  expect(sent).toEqual([
    ["http://desk/api/employee/boot", "a", "x/1"],
    ["http://desk/api/employee/boot", "b", "x/1"],
  ]);
});
