import type { ConversationView, Entry, Participant } from "@deskwire/client/desk";
import { expect, test } from "vitest";
import { firstAnswerAt, inOrder } from "./facts";

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

test("who asked comes first, the others as they came in", () => {
  const one = (id: string, role: Participant["role"], visible_from: number): Participant => ({
    realm: role === "agent" ? "agent" : "employee",
    person: { id, name: id, avatar: null },
    role,
    visible_from,
    left_at: null,
  });

  const people = inOrder([one("b", "agent", 9), one("a", "agent", 3), one("z", "requester", 1)]);

  expect(people.map(({ person }) => person.id)).toEqual(["z", "a", "b"]);
});
