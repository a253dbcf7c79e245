/** Times that only the workbench shows. */
import { language } from "../words/words";

/** 10:32:05, for the moment of the last frame. */
export function secondText(at: number): string {
  return new Intl.DateTimeFormat(language.value === "en" ? "en-GB" : "zh-CN", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(at);
}
