import { expect, test } from "vitest";
import { isRound, loginAddress, loginProblem } from "./login";
import { addressOf, type Route, returnAddress, routeOf } from "./route";

const routes: Route[] = [
  { page: "start" },
  { page: "first", category: "vpn", previous: null },
  { page: "first", category: "a&b", previous: "01j/x" },
  { page: "conversation", conv: "01jd8q" },
  { page: "conversation", conv: "a/b 中" },
  { page: "history" },
  { page: "login", why: "out_of_scope" },
];

test.each(routes)("an address leads back to its place: %o", (route) => {
  const url = new URL(addressOf(route), "https://desk.example");

  expect(routeOf(url.pathname, url.search)).toEqual(route);
});

test("an address with strange parts is the start", () => {
  expect(routeOf("/h5/", "?code=x&state=y")).toEqual({ page: "start" });
  expect(routeOf("/h5/c/", "")).toEqual({ page: "start" });
  expect(routeOf("/h5/c/%E0%A4%A", "")).toEqual({ page: "conversation", conv: "%E0%A4%A" });
});

test("a login comes back to where the person was, never to the failed login", () => {
  expect(loginAddress({ page: "conversation", conv: "7" })).toBe(
    "/login/employee?to=%2Fh5%2Fc%2F7",
  );
  expect(returnAddress({ page: "login", why: "x" })).toBe("/h5");
});

test("a login that has just been tried is not tried again", () => {
  expect(isRound(null, 1000)).toBe(false);
  expect(isRound(1000, 5000)).toBe(true);
  expect(isRound(1000, 60_000)).toBe(false);
});

test("an unknown cause of a failed login gets the general sentence", () => {
  expect(loginProblem("scope")).toBe("denied");
  expect(loginProblem("code")).toBe("expired");
  expect(loginProblem("zz")).toBe("failed");
  expect(loginProblem("toString")).toBe("failed");
});
