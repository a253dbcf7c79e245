import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const css = readFileSync(new URL("./look.css", import.meta.url), "utf8");

function values(selector: string): Map<string, string> {
  const from = css.indexOf(`${selector} {`);
  const body = css.slice(from, css.indexOf("}", from));
  return new Map(
    [...body.matchAll(/(--[a-z0-9-]+):\s*([^;]+);/g)].map(([, name = "", value = ""]) => [
      name,
      value.trim(),
    ]),
  );
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

const light = values(":root");
const dark = values(':root[data-theme="dark"]');

test("dark by the system and dark by the setting are the same", () => {
  expect(values(':root:not([data-theme="light"])')).toEqual(dark);
});

test.each([
  ["light", light],
  ["dark", dark],
])("%s: text and controls can be read on both grounds", (_name, look) => {
  const of = (name: string) => look.get(name) ?? "";
  for (const ground of [of("--ground"), of("--surface")]) {
    expect(contrast(of("--text"), ground)).toBeGreaterThanOrEqual(13.5);
    expect(contrast(of("--muted"), ground)).toBeGreaterThanOrEqual(5.4);
    expect(contrast(of("--control"), ground)).toBeGreaterThanOrEqual(3);
    for (const tone of ["--accent", "--ok", "--warn", "--danger"]) {
      expect(contrast(of(tone), ground)).toBeGreaterThanOrEqual(4.5);
    }
  }
  expect(contrast(of("--on-accent"), of("--accent"))).toBeGreaterThanOrEqual(4.5);
  expect(contrast(of("--on-accent"), of("--danger"))).toBeGreaterThanOrEqual(4.5);
  expect(contrast(of("--note-text"), of("--note"))).toBeGreaterThanOrEqual(4.5);
});
