/**
 * What an employee has begun to write, on this device only, by person and conversation. Exactly as
 * written; gone once sent. The key "new" is the first message of a conversation to come.
 */
import { customRef, type Ref } from "vue";

const PREFIX = "deskwire:draft:employee:";

export interface DraftStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export class Drafts {
  readonly #storage: DraftStorage | null;
  readonly #prefix: string;
  readonly #held = new Map<string, string>();

  constructor(storage: DraftStorage | null, person: string) {
    this.#storage = storage;
    this.#prefix = `${PREFIX}${person}:`;
  }

  read(conv: string): string {
    const held = this.#held.get(conv);
    if (held !== undefined) return held;
    try {
      return this.#storage?.getItem(this.#prefix + conv) ?? "";
    } catch {
      return "";
    }
  }

  write(conv: string, text: string): void {
    this.#held.set(conv, text);
    try {
      if (text === "") this.#storage?.removeItem(this.#prefix + conv);
      else this.#storage?.setItem(this.#prefix + conv, text);
    } catch {
      // Full or forbidden: the draft then lives as long as the page.
    }
  }

  /** A device belongs to one person: the drafts of whoever was here before go. */
  dropOthers(): void {
    try {
      for (const key of storedKeys(this.#storage)) {
        if (key.startsWith(PREFIX) && !key.startsWith(this.#prefix)) this.#storage?.removeItem(key);
      }
    } catch {
      // Forbidden: nothing was kept.
    }
  }

  /** The draft of one conversation as a ref that keeps itself. */
  of(conv: string): Ref<string> {
    return customRef((track, trigger) => ({
      get: () => {
        track();
        return this.read(conv);
      },
      set: (text) => {
        this.write(conv, text);
        trigger();
      },
    }));
  }
}

function storedKeys(storage: DraftStorage | null): string[] {
  const keys: string[] = [];
  for (let index = 0; index < (storage?.length ?? 0); index += 1) {
    const key = storage?.key(index);
    if (key) keys.push(key);
  }
  return keys;
}

/** The browser's storage, or null where it is switched off: even asking can throw. */
export function deviceStorage(): DraftStorage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
