/** What a person sets on this device: language, appearance, how Enter behaves, single-letter keys. */
import { reactive, watch } from "vue";

export type LanguageSetting = "auto" | "zh-CN" | "en";
export type ThemeSetting = "auto" | "light" | "dark";
export type SendSetting = "enter" | "ctrl-enter";

export interface Settings {
  language: LanguageSetting;
  theme: ThemeSetting;
  send: SendSetting;
  letters: boolean;
}

export const DEFAULTS: Readonly<Settings> = {
  language: "auto",
  theme: "auto",
  send: "enter",
  letters: true,
};

const CHOICES = {
  language: ["auto", "zh-CN", "en"],
  theme: ["auto", "light", "dark"],
  send: ["enter", "ctrl-enter"],
} as const;

/** Reads what was stored; what is missing, unknown or spoilt falls back to its default. */
export function parseSettings(stored: string | null): Settings {
  const read = recordOf(stored);
  return {
    language: oneOf(CHOICES.language, read.language, DEFAULTS.language),
    theme: oneOf(CHOICES.theme, read.theme, DEFAULTS.theme),
    send: oneOf(CHOICES.send, read.send, DEFAULTS.send),
    letters: typeof read.letters === "boolean" ? read.letters : DEFAULTS.letters,
  };
}

function recordOf(stored: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(stored ?? "{}");
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function oneOf<T extends string>(choices: readonly T[], value: unknown, otherwise: T): T {
  return choices.includes(value as T) ? (value as T) : otherwise;
}

const KEY = "deskwire:workbench:settings";

/** The settings of this device, kept as they change. A browser without storage keeps them for the page's life. */
export function openSettings(storage: Storage | null): Settings {
  const settings = reactive(parseSettings(readOrNull(storage)));
  watch(settings, (value) => keep(storage, JSON.stringify(value)));
  return settings;
}

function readOrNull(storage: Storage | null): string | null {
  try {
    return storage?.getItem(KEY) ?? null;
  } catch {
    return null;
  }
}

function keep(storage: Storage | null, text: string): void {
  try {
    storage?.setItem(KEY, text);
  } catch {
    // Full or forbidden: the setting then lives as long as the page.
  }
}
