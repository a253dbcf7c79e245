import { expect, test } from "vitest";
import { layoutAt, nextPane, panesOf } from "./layout";

test("three panes from 1,280 px, two from 1,024, one below", () => {
  expect(layoutAt(1440)).toBe("three");
  expect(layoutAt(1280)).toBe("three");
  expect(layoutAt(1279)).toBe("two");
  expect(layoutAt(1024)).toBe("two");
  expect(layoutAt(1023)).toBe("one");
});

test("one pane shows the conversation when there is one, else the lists", () => {
  expect(panesOf("one", null)).toEqual(["lists"]);
  expect(panesOf("one", "a")).toEqual(["talk"]);
  expect(panesOf("two", "a")).toEqual(["lists", "talk"]);
  expect(panesOf("three", "a")).toEqual(["lists", "talk", "context"]);
});

test("F6 walks around, both ways", () => {
  const panes = panesOf("three", "a");

  expect(nextPane(panes, null, 1)).toBe("lists");
  expect(nextPane(panes, "context", 1)).toBe("lists");
  expect(nextPane(panes, "lists", -1)).toBe("context");
  expect(nextPane(panes, null, -1)).toBe("context");
});
