/** The golden traces of contract/cases: what goes in, and what this client does with it, step by step. */
import { expect, test } from "vitest";
import { Delivery, type Out } from "./delivery.ts";

interface Step {
  at: number;
  do: string;
  with?: any[];
  out: Out[];
  state: string;
}

interface Case {
  about: string;
  client: string;
  dice: number;
  steps: Step[];
}

const cases = import.meta.glob<Case>("../../contract/cases/client_*.json", {
  eager: true,
  import: "default",
});

function play(delivery: Delivery, { at, do: what, with: given = [] }: Step): Out[] {
  if (what !== "receive") return (delivery as any)[what](...given, at);
  const frames: object[] = given[0];
  return delivery.receive(frames.map((frame) => JSON.stringify(frame)).join("\n"), at);
}

test("there are traces", () => {
  expect(Object.keys(cases).length).toBeGreaterThan(10);
});

test.each(Object.keys(cases))("%s", (name) => {
  const trace = cases[name] as Case;
  const delivery = new Delivery(trace.client, () => trace.dice);
  const played = trace.steps.map((step) => ({
    ...step,
    out: play(delivery, step),
    state: delivery.state.kind,
  }));
  expect(played).toEqual(trace.steps);
});
