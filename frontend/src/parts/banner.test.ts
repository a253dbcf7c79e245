import { expect, test } from "vitest";
import { bannerOf } from "./banner";

const texts = (kind: "reconnecting" | "catching_up" | "offline" | "doubtful", ms: number) =>
  bannerOf({ kind, code: null }, ms)?.text ?? null;

test("a blip shows nothing, trouble of 1.5 s shows", () => {
  expect(texts("reconnecting", 0)).toBeNull();
  expect(texts("reconnecting", 1500)).toBe("正在重连…");
  expect(texts("catching_up", 1500)).toBe("正在补齐消息…");
  expect(texts("offline", 1500)).toBe("网络已断开，消息会在恢复后发送");
  expect(texts("doubtful", 1500)).toBe("实时通道异常，正在恢复");
});

test("a live connection has no banner", () => {
  expect(bannerOf({ kind: "live", code: null }, 60_000)).toBeNull();
});

test("after ten seconds a reconnection can be tried at once", () => {
  expect(bannerOf({ kind: "reconnecting", code: null }, 1500)?.action).toBeNull();
  expect(bannerOf({ kind: "reconnecting", code: null }, 10_000)?.action).toBe("retry");
});

test("a stopped connection says why at once, with its one button", () => {
  const stopped = (code: number) => bannerOf({ kind: "stopped", code }, 0);

  expect(stopped(4504)).toMatchObject({ text: "已在别处打开", action: "use_here" });
  expect(stopped(4500)).toMatchObject({ text: "请重新登录", action: "login" });
  expect(stopped(4503)).toMatchObject({ text: "无权访问", action: null });
  expect(stopped(4501)).toMatchObject({ text: "页面异常，请刷新", action: "reload" });
  expect(stopped(4599)).toMatchObject({ action: "reload" });
});

test("a code that says more than reconnecting is heard", () => {
  expect(bannerOf({ kind: "reconnecting", code: 4002 }, 1500)?.text).toBe("网络较慢，正在补齐消息");
});
