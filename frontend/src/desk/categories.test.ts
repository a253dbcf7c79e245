// @vitest-environment jsdom
import { afterEach, describe, expect, test } from "vitest";
import { speak } from "../words/words";
import { categoryName } from "./categories";

afterEach(() => speak("zh-CN"));

const vpn = { id: "vpn", name_zh: "网络", name_en: "Network" };
const mail = { id: "mail", name_zh: "邮箱", name_en: "" };

describe("a category's name", () => {
  test("is that of the category it is now, whatever the row called the one before", () => {
    expect(categoryName({ ...vpn, id: "mail" }, [vpn, mail])).toBe("邮箱");
    expect(categoryName(vpn, [])).toBe("网络");
  });

  test("is in the page's language, if it has one", () => {
    speak("en");

    expect(categoryName(vpn, [vpn, mail])).toBe("Network");
    expect(categoryName(mail, [vpn, mail])).toBe("邮箱");
  });
});
