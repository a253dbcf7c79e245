import type { ConversationView, Entry } from "@deskwire/client/desk";
import { expect, test } from "vitest";
import { firstAnswerAt } from "./facts";

function entry(type: string, realm: "agent" | "employee", at: number): Entry {
  const by = { realm, id: "x", name: "x", avatar: null };
  return {
    stream: "conv:1",
    position: at,
    event: { id: `${at}`, type, v: 1, at, conv: "1", by, data: {} },
  };
}

const view = (entries: Entry[], more = false) => ({ entries, more }) as unknown as ConversationView;

test("the first answer is the first public message of an agent", () => {
  const entries = [
    entry("message.posted", "employee", 1),
    entry("note.posted", "agent", 2),
    entry("message.posted", "agent", 3),
    entry("message.posted", "agent", 4),
  ];

  expect(firstAnswerAt(view(entries))).toBe(3);
});

test("without one it is null, and with earlier pages missing it is not guessed", () => {
  const entries = [entry("message.posted", "employee", 1)];

  expect(firstAnswerAt(view(entries))).toBeNull();
  expect(firstAnswerAt(view(entries, true))).toBe("unknown");
});
