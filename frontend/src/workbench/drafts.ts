/**
 * Drafts on this device, one per (conversation, mode). A draft is bound to its key: the editor is given
 * a key and reads and writes only there, so text can never stray to another conversation or another mode.
 */

export type Mode = "reply" | "note";

export interface DraftKey {
  conv: string;
  mode: Mode;
}

interface Kept {
  text: string;
  at: number;
}

const KEPT_MS = 30 * 86_400_000;
const DRAFTS_MAX = 200;

export class Drafts {
  readonly #storage: Storage | null;
  readonly #prefix: string;
  readonly #held = new Map<string, Kept>();
  readonly #heard = new Set<() => void>();

  /** `person` keeps two agents who share a browser apart. */
  constructor(storage: Storage | null, person: string, now: number) {
    this.#storage = storage;
    this.#prefix = `deskwire:draft:agent:${person}:`;
    this.#load(now);
  }

  read(key: DraftKey): string {
    return this.#held.get(nameOf(key))?.text ?? "";
  }

  /** Keeps exactly what is written; an empty text drops the draft. */
  write(key: DraftKey, text: string, now: number): void {
    const name = nameOf(key);
    if (text === "") this.#drop(name);
    else this.#keep(name, { text, at: now });
    for (const tell of this.#heard) tell();
  }

  /** Another tab of this browser wrote: take over what it kept. Returns whether anything is new here. */
  takeOver(storageKey: string | null, value: string | null): boolean {
    if (!storageKey?.startsWith(this.#prefix)) return false;
    const name = storageKey.slice(this.#prefix.length);
    const kept = parse(value);
    if (this.#held.get(name)?.text === kept?.text) return false;
    if (kept) this.#held.set(name, kept);
    else this.#held.delete(name);
    for (const tell of this.#heard) tell();
    return true;
  }

  /** The newest draft of a conversation, whatever its mode, for its list row. */
  newestOf(conv: string): string | null {
    const reply = this.#held.get(nameOf({ conv, mode: "reply" }));
    const note = this.#held.get(nameOf({ conv, mode: "note" }));
    if (!reply || !note) return (reply ?? note)?.text ?? null;
    return (reply.at >= note.at ? reply : note).text;
  }

  onChange(tell: () => void): () => void {
    this.#heard.add(tell);
    return () => this.#heard.delete(tell);
  }

  #keep(name: string, kept: Kept): void {
    this.#held.set(name, kept);
    try {
      this.#storage?.setItem(this.#prefix + name, JSON.stringify(kept));
    } catch {
      // Full or forbidden: the draft then lives as long as the page.
    }
  }

  #drop(name: string): void {
    this.#held.delete(name);
    try {
      this.#storage?.removeItem(this.#prefix + name);
    } catch {
      // Forbidden: nothing was kept there either.
    }
  }

  #load(now: number): void {
    const found = storedUnder(this.#storage, this.#prefix);
    for (const [name, kept] of found) this.#held.set(name, kept);
    const byAge = [...this.#held].sort((a, b) => b[1].at - a[1].at);
    for (const [index, [name, kept]] of byAge.entries()) {
      if (index >= DRAFTS_MAX || now - kept.at > KEPT_MS) this.#drop(name);
    }
  }
}

const nameOf = (key: DraftKey) => `${key.mode}:${key.conv}`;

function storedUnder(storage: Storage | null, prefix: string): [string, Kept][] {
  const found: [string, Kept][] = [];
  try {
    for (let index = 0; index < (storage?.length ?? 0); index += 1) {
      const key = storage?.key(index);
      if (!key?.startsWith(prefix)) continue;
      const kept = parse(storage?.getItem(key) ?? null);
      if (kept) found.push([key.slice(prefix.length), kept]);
    }
  } catch {
    return [];
  }
  return found;
}

function parse(value: string | null): Kept | null {
  try {
    const read = JSON.parse(value ?? "null") as Partial<Kept> | null;
    if (typeof read?.text !== "string" || read.text === "") return null;
    return { text: read.text, at: typeof read.at === "number" ? read.at : 0 };
  } catch {
    return null;
  }
}
