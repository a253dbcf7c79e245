/**
 * Words on screen, in two languages. The Chinese dictionary is the source: its type binds the
 * English one, so a missing or misshapen key fails the type check. A value is a string or a
 * function of typed arguments; no sentence is glued from parts.
 */
import { shallowRef } from "vue";

export type Language = "zh-CN" | "en";

type Word = string | ((...args: never[]) => string);
export type Dictionary = Record<string, Word>;

/** The shape a translation of `Source` must have. */
export type Twin<Source extends Dictionary> = {
  readonly [Key in keyof Source]: Source[Key] extends (...args: infer Args) => string
    ? (...args: Args) => string
    : string;
};

type Args<W> = W extends (...args: infer A) => string ? A : [];

/** The language of the page. Reading it inside a render makes the render follow it. */
export const language = shallowRef<Language>("zh-CN");

/** `t()` for one pair of dictionaries: `t("status.queued")`, `t("banner.asOf", "10:32")`. */
export function wordsOf<Source extends Dictionary>(zh: Source, en: Twin<Source>) {
  return function t<Key extends keyof Source>(key: Key, ...args: Args<Source[Key]>): string {
    const words: Record<keyof Source, Word> = language.value === "en" ? en : zh;
    const word = words[key] as string | ((...args: unknown[]) => string);
    return typeof word === "function" ? word(...args) : word;
  };
}

/** The person's setting, else the browser's languages in their order, else Chinese. */
export function chooseLanguage(
  setting: string | null | undefined,
  browser: readonly string[],
): Language {
  for (const wish of [setting, ...browser]) {
    if (!wish) continue;
    if (/^zh\b/i.test(wish)) return "zh-CN";
    if (/^en\b/i.test(wish)) return "en";
  }
  return "zh-CN";
}

/** Sets the page's language, and `<html lang>` with it: screen readers and fonts follow that. */
export function speak(chosen: Language): void {
  language.value = chosen;
  document.documentElement.lang = chosen;
}
