/**
 * A message's text exactly as it was written: white space kept, links made as nodes and never as
 * HTML. Its textContent is the text, character for character.
 */
import { type FunctionalComponent, h } from "vue";
import { splitLinks } from "./links";

export const MessageText: FunctionalComponent<{ text: string }> = ({ text }) =>
  h(
    "div",
    { class: "message-text", "data-testid": "message-text", dir: "auto" },
    splitLinks(text).map((piece) =>
      piece.kind === "text"
        ? piece.text
        : h("a", { href: piece.href, target: "_blank", rel: "noopener noreferrer" }, piece.text),
    ),
  );

MessageText.props = { text: { type: String, required: true } };
