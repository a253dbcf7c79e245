import type { Conversation, Participant } from "@deskwire/client/desk";
import { describe, expect, test } from "vitest";
import { actsOf, firstMode, replyState } from "./reply";

const lina = { id: "lina", name: "李娜", avatar: null };
const wang = { id: "wangqiang", name: "王强", avatar: null };

function conversation(more: Partial<Conversation>): Conversation {
  return {
    conv_id: "c1",
    no: "IT-20261122-0001",
    requester: { id: "zhang", name: "张三", avatar: null, department: "财务部" },
    group: { id: "it", name: "IT" },
    category: { id: "net", name_zh: "网络", name_en: "Network" },
    status: "active",
    assignee: lina,
    turn: "agent",
    waiting_since: null,
    opened_at: 0,
    version: 2,
    last_message: null,
    resolution_no: 0,
    closed_how: null,
    held_until: null,
    reopen_count: 0,
    previous_id: null,
    rating: null,
    ...more,
  };
}

const agent = (person: typeof lina, left_at: number | null = null): Participant => ({
  realm: "agent",
  person,
  role: "agent",
  visible_from: 1,
  left_at,
});
const me = { id: "lina", role: "agent" };

describe("what may be written", () => {
  test("a participant replies", () => {
    expect(replyState(conversation({}), [agent(lina)], "lina")).toBe("open");
    expect(replyState(conversation({ status: "resolved" }), [agent(lina)], "lina")).toBe("open");
  });

  test("in the queue one claims first, participant or not", () => {
    const queued = conversation({ status: "queued", assignee: null });

    expect(replyState(queued, [], "lina")).toBe("claim_first");
    expect(replyState(queued, [agent(lina)], "lina")).toBe("claim_first");
  });

  test("an onlooker joins first, and so does who has left", () => {
    expect(replyState(conversation({}), [agent(wang)], "lina")).toBe("join_first");
    expect(replyState(conversation({}), [agent(lina, 7)], "lina")).toBe("join_first");
  });

  test("the same id in the employee realm is another principal", () => {
    const asEmployee: Participant = { ...agent(lina), realm: "employee", role: "requester" };

    expect(replyState(conversation({}), [asEmployee], "lina")).toBe("join_first");
  });

  test("a closed one takes no reply, and one's own never does", () => {
    expect(replyState(conversation({ status: "closed" }), [agent(lina)], "lina")).toBe("closed");
    const own = conversation({ requester: { ...lina, department: "IT" }, status: "queued" });
    expect(replyState(own, [], "lina")).toBe("own");
  });

  test("onlookers start with a note, the others with a reply", () => {
    expect(firstMode("open")).toBe("reply");
    expect(firstMode("claim_first")).toBe("reply");
    expect(firstMode("join_first")).toBe("note");
    expect(firstMode("closed")).toBe("reply");
    expect(firstMode("own")).toBe("note");
  });
});

describe("the header's buttons", () => {
  test("queued: claim alone", () => {
    const queued = conversation({ status: "queued", assignee: null });

    expect(actsOf(queued, [], me)).toEqual({ claim: true, join: false, resolve: false });
  });

  test("the assignee resolves, an onlooker joins, a supervisor may do both", () => {
    expect(actsOf(conversation({}), [agent(lina)], me)).toEqual({
      claim: false,
      join: false,
      resolve: true,
    });
    const others = conversation({ assignee: wang });
    expect(actsOf(others, [agent(wang)], me)).toEqual({ claim: false, join: true, resolve: false });
    expect(actsOf(others, [agent(wang)], { id: "lina", role: "supervisor" })).toEqual({
      claim: false,
      join: true,
      resolve: true,
    });
  });

  test("nothing is offered once it is resolved, and nothing in a closed one", () => {
    for (const status of ["resolved", "closed"] as const) {
      const over = conversation({ status, assignee: null });
      expect(actsOf(over, [agent(lina)], me)).toEqual({
        claim: false,
        join: false,
        resolve: false,
      });
    }
  });

  test("one's own conversation offers nothing", () => {
    const own = conversation({ requester: { ...lina, department: "IT" }, assignee: wang });

    expect(actsOf(own, [], { id: "lina", role: "admin" })).toEqual({
      claim: false,
      join: false,
      resolve: false,
    });
  });
});
