/**
 * The recorded traces of contract/: one client core against the server's, over a network that loses, cuts and stalls.
 * pytest replays both cores on them; here the client's steps give the same outputs, states and applied lists.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { Delivery, type Out } from "./delivery.ts";

interface Step {
  side: "client" | "server";
  at: number;
  do: string;
  with?: any[];
  out: Out[];
  state: string;
  due_in: number | null;
}

interface Trace {
  trace: number;
  client: string;
  dice: number[];
  steps: Step[];
  applied: [stream: string, position: number][];
  end: { client: { state: string; code: number | null; places: Record<string, unknown> } };
}

const PACKED = fileURLToPath(new URL("../../contract/traces.jsonl.gz", import.meta.url));
const traces: Trace[] = gunzipSync(readFileSync(PACKED))
  .toString()
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));
const PARTS = Array.from({ length: 10 }, (_, part) => part);

function play(delivery: Delivery, step: Step): Step {
  const given = step.with ?? [];
  const out: Out[] =
    step.do === "receive"
      ? delivery.receive(given[0].map(textOf).join("\n"), step.at)
      : (delivery as any)[step.do](...given, step.at);
  const due = delivery.dueAt;
  const due_in = due === null ? null : due - step.at;
  return { ...step, out, state: delivery.state.kind, due_in };
}

/** A text is no frame, and goes as it is. */
const textOf = (frame: unknown) => (typeof frame === "string" ? frame : JSON.stringify(frame));

function replay(trace: Trace) {
  const thrown = [...trace.dice];
  const delivery = new Delivery(trace.client, () => thrown.shift() ?? Number.NaN);
  const steps = trace.steps
    .filter(({ side }) => side === "client")
    .map((step) => play(delivery, step));
  const applied = steps
    .flatMap(({ out }) => out)
    .flatMap((out) => (out.do === "apply" ? [[out.stream, out.position]] : []));
  const { kind: state, code } = delivery.state;
  const streams = trace.steps.flatMap((step) =>
    step.do === "watch" ? Object.keys(step.with?.[0]) : [],
  );
  const standing = [...new Set(streams)].map((stream) => [stream, delivery.place(stream)]);
  const places = Object.fromEntries(standing.filter(([, place]) => place !== undefined));
  return { steps, applied, end: { state, code, places }, unthrown: thrown.length };
}

test("there are a thousand", () => {
  expect(traces.map(({ trace }) => trace)).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
});

test.each(PARTS)("part %i of the traces", (part) => {
  for (const trace of traces.filter(({ trace }) => trace % PARTS.length === part)) {
    const steps = trace.steps.filter(({ side }) => side === "client");
    const { applied, end } = trace;
    expect(replay(trace), `trace ${trace.trace}`).toEqual({
      steps,
      applied,
      end: end.client,
      unthrown: 0,
    });
  }
});
