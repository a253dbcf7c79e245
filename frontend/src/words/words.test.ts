// @vitest-environment jsdom
import { afterEach, describe, expect, test } from "vitest";
import { en as h5En } from "./h5.en";
import { zh as h5Zh } from "./h5.zh-CN";
import { closeText, failureText, refusalText, statusText, t } from "./shared";
import { en as sharedEn } from "./shared.en";
import { eventLine } from "./shared.events";
import { clockText, dayText, listTimeText, spanText } from "./shared.times";
import { zh as sharedZh } from "./shared.zh-CN";
import { chooseLanguage, speak } from "./words";

afterEach(() => speak("zh-CN"));

describe("the dictionaries", () => {
  test.each([
    ["shared", sharedZh, sharedEn],
    ["h5", h5Zh, h5En],
  ])("%s: both languages have the same keys, and no word is empty", (_name, zh, en) => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort());
    for (const word of [...Object.values(zh), ...Object.values(en)]) expect(word).not.toBe("");
  });

  test("no English word holds Chinese", () => {
    const words = [...Object.values(sharedEn), ...Object.values(h5En)];

    for (const word of words) expect(String(word)).not.toMatch(/\p{Script=Han}/u);
  });

  test("h5 takes no key of the shared words away", () => {
    expect(Object.keys(h5Zh).filter((key) => key in sharedZh)).toEqual([]);
  });
});

describe("the language", () => {
  test("is the person's setting, else the browser's, else Chinese", () => {
    expect(chooseLanguage("en", ["zh-CN"])).toBe("en");
    expect(chooseLanguage(null, ["fr-FR", "en-GB", "zh-CN"])).toBe("en");
    expect(chooseLanguage("zh-TW", ["en"])).toBe("zh-CN");
    expect(chooseLanguage(undefined, ["fr"])).toBe("zh-CN");
  });

  test("changes words and <html lang> together", () => {
    speak("en");

    expect(t("status.queued")).toBe("In queue");
    expect(document.documentElement.lang).toBe("en");
  });
});

describe("codes in words", () => {
  test("refusals name what they carry", () => {
    expect(refusalText({ code: "already_taken", detail: { by: { name: "李娜" } } })).toBe(
      "已由 李娜 接待",
    );
    expect(refusalText({ code: "wrong_state", detail: { status: "closed" } })).toBe(
      "会话状态已变为已结束，无法进行此操作",
    );
    expect(refusalText({ code: "too_large", detail: { max: 4000 } })).toBe(
      "内容过长，最多 4000 字",
    );
  });

  test("an unknown refusal has a sentence, and no answer at all means no network", () => {
    expect(refusalText({ code: "brand_new" })).toBe(t("refusal.unknown"));
    expect(failureText(new Error("fetch failed"))).toBe(t("unreachable"));
  });

  test("an unknown close code is read by its range", () => {
    expect(closeText(4321)).toBe("正在重连…");
    expect(closeText(4599)).toBe(t("close.stop"));
    expect(closeText(1009)).toBe(t("close.stop"));
  });

  test("a status of a newer server is shown as it is", () => {
    expect(statusText("active")).toBe("处理中");
    expect(statusText("merged")).toBe("merged");
  });
});

describe("state events", () => {
  const by = { realm: "agent", id: "li", name: "李娜" };
  const employee = { realm: "employee", id: "wang" };

  test("are one line, said to whom it concerns", () => {
    const assigned = {
      type: "conversation.assigned",
      by,
      data: { agent: { id: "li", name: "李娜" } },
    };

    expect(eventLine(assigned, employee)).toBe("李娜 已接入");
    expect(eventLine(assigned, { realm: "agent", id: "li" })).toBe("您已接入");
  });

  test("say who closed it, and how", () => {
    const closed = {
      type: "conversation.closed",
      by: { ...employee, name: "王小明" },
      data: { how: "cancelled" },
    };

    expect(eventLine(closed, employee)).toBe("您取消了排队，会话结束");
    expect(eventLine(closed, { realm: "agent", id: "li" })).toBe("员工取消了排队，会话结束");
  });

  test("say that it waits again only where no other line does", () => {
    const queued = (cause: string) => ({ type: "conversation.queued", by: null, data: { cause } });

    expect(eventLine(queued("agent_lost"), employee)).toBe("坐席暂时离线，正在重新安排");
    expect(eventLine(queued("requeued"), employee)).toBe("已回到排队");
    expect(eventLine(queued("reopened"), employee)).toBeNull();
  });

  test("without words show nothing", () => {
    expect(eventLine({ type: "push.notified", by: null, data: {} }, employee)).toBeNull();
  });
});

describe("times", () => {
  const now = new Date(2026, 10, 23, 9, 5).getTime();
  const at = (...date: [number, number, number, number, number]) => new Date(...date).getTime();

  test("a day is today, yesterday, or its date", () => {
    expect(dayText(at(2026, 10, 23, 0, 0), now)).toBe("今天");
    expect(dayText(at(2026, 10, 22, 23, 59), now)).toBe("昨天");
    expect(dayText(at(2026, 10, 20, 8, 0), now)).toBe("11月20日星期五");
    expect(dayText(at(2025, 10, 20, 8, 0), now)).toContain("2025");
  });

  test("a list shows the clock today, else the day", () => {
    expect(listTimeText(at(2026, 10, 23, 0, 7), now)).toBe("00:07");
    expect(listTimeText(at(2026, 10, 22, 0, 7), now)).toBe("昨天");
    expect(listTimeText(at(2026, 10, 1, 0, 7), now)).toBe("11月1日");
  });

  test("a clock has 24 hours in both languages", () => {
    speak("en");

    expect(clockText(at(2026, 10, 23, 17, 3))).toBe("17:03");
  });

  test("a span is said in its largest fitting unit", () => {
    expect([0, 59_999, 60_000, 3_600_000, 90_000_000].map(spanText)).toEqual([
      "0 秒",
      "59 秒",
      "1 分钟",
      "1 小时",
      "1 天",
    ]);
  });
});
