import { describe, expect, test } from "vitest";
import { longestWait, waitFigures, waitLevel } from "./waits";

const MIN = 60_000;

describe("waits", () => {
  test("two minutes are still calm, more is amber, more than five is red", () => {
    expect(waitLevel(0)).toBe("calm");
    expect(waitLevel(2 * MIN)).toBe("calm");
    expect(waitLevel(2 * MIN + 1)).toBe("amber");
    expect(waitLevel(5 * MIN)).toBe("amber");
    expect(waitLevel(5 * MIN + 1)).toBe("red");
  });

  test("a wait is told in its largest figures", () => {
    expect(waitFigures(42_900)).toEqual([{ unit: "seconds", value: 42 }]);
    expect(waitFigures(3 * MIN + 59_000)).toEqual([{ unit: "minutes", value: 3 }]);
    expect(waitFigures(125 * MIN)).toEqual([
      { unit: "hours", value: 2 },
      { unit: "minutes", value: 5 },
    ]);
    expect(waitFigures(120 * MIN)).toEqual([{ unit: "hours", value: 2 }]);
    expect(waitFigures((3 * 24 + 4) * 60 * MIN)).toEqual([
      { unit: "days", value: 3 },
      { unit: "hours", value: 4 },
    ]);
  });

  test("a clock that is ahead of the server shows zero, not less", () => {
    expect(waitFigures(-5_000)).toEqual([{ unit: "seconds", value: 0 }]);
    expect(longestWait([2_000], 1_000)).toBe(0);
  });

  test("the longest wait is that of who came first, and nobody's is null", () => {
    expect(longestWait([5_000, null, 2_000], 10_000)).toBe(8_000);
    expect(longestWait([null], 10_000)).toBeNull();
    expect(longestWait([], 10_000)).toBeNull();
  });
});
