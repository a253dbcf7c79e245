// @vitest-environment jsdom
import { expect, test } from "vitest";
import { createApp, h } from "vue";
import { MessageText } from "./MessageText";

function shown(text: string): HTMLElement {
  const root = document.createElement("div");
  createApp({ render: () => h(MessageText, { text }) }).mount(root);
  return root;
}

test("the text is there character for character, and nothing of it becomes markup", () => {
  const text = ' <b>粗</b> &amp; {{ x }}\n\n\t"https://a.example/?a=1&b=<i>" \u0007\r\n ';

  const root = shown(text);

  expect(root.textContent).toBe(text);
  expect(root.querySelectorAll("b, i")).toHaveLength(0);
});

test("a link opens apart and tells the other page nothing of this one", () => {
  const [link] = shown("看 https://a.example/b。").querySelectorAll("a");

  expect(link?.getAttribute("href")).toBe("https://a.example/b");
  expect(link?.target).toBe("_blank");
  expect(link?.rel).toBe("noopener noreferrer");
});
