/** Figures and names of the workbench in words. */
import { t } from "../words/workbench";
import { waitFigures } from "./waits";

/** 42 秒 · 3 分 · 2 小时 5 分 */
export function waitText(waitedMs: number): string {
  const [first, second] = waitFigures(waitedMs).map(({ unit, value }) => t(`wait.${unit}`, value));
  return second === undefined ? (first ?? "") : t("wait.two", first ?? "", second);
}

const NAMES_MAX = 3;

/** 李娜、王强 · with more than three the rest is a number. */
export function namesText(names: readonly string[]): string {
  const [first = "", ...rest] = names.slice(0, NAMES_MAX);
  const shown = rest.reduce((text, name) => t("talk.nameAnd", text, name), first);
  return names.length > NAMES_MAX ? t("talk.andMore", shown, names.length) : shown;
}
