import { expect, test } from "vitest";
import { splitLinks } from "./links";

const linksOf = (text: string) =>
  splitLinks(text).flatMap((piece) => (piece.kind === "link" ? [piece.text] : []));

test("what comes out, joined, is what went in", () => {
  const texts = [
    "",
    "  前后空格  \n\n",
    "看 https://a.example/x?y=1#z，谢谢",
    "http://a.example http://b.example\thttps://c.example/",
    "\u0007\u200b 控制字符 \r\n \u2028",
    "https://",
    "（https://a.example/b）。",
  ];

  for (const text of texts) {
    expect(
      splitLinks(text)
        .map((piece) => piece.text)
        .join(""),
    ).toBe(text);
  }
});

test("a link ends at Chinese punctuation and text", () => {
  expect(linksOf("看https://a.example/b，谢谢")).toEqual(["https://a.example/b"]);
  expect(linksOf("打开https://a.example/b再登录")).toEqual(["https://a.example/b"]);
});

test("the sentence's own punctuation and bracket stay outside", () => {
  expect(linksOf("See https://a.example/b.")).toEqual(["https://a.example/b"]);
  expect(linksOf("(https://a.example/b)")).toEqual(["https://a.example/b"]);
  expect(linksOf("https://a.example/b_(c)")).toEqual(["https://a.example/b_(c)"]);
});

test("only http and https are links", () => {
  expect(linksOf("javascript:alert(1) data:text/html,x ftp://a.example file:///etc")).toEqual([]);
  expect(linksOf("http:// https://")).toEqual([]);
});
