/**
 * What a screen reader is told of new messages: each once; more than three within two seconds
 * become a count, so that a burst does not drown the person. Pure: time is an argument.
 */

const SPAN_MS = 2000;
const SINGLE_MAX = 3;

export interface Heard {
  name: string;
  text: string;
}

export type Announcement = { kind: "one"; heard: Heard } | { kind: "many"; count: number };

export class Announcements {
  #times: number[] = [];
  #held = 0;

  /** Takes new messages; returns what to say at once. */
  hear(messages: readonly Heard[], now: number): Announcement[] {
    this.#times = this.#times.filter((at) => now - at < SPAN_MS);
    const said: Announcement[] = [];
    if (this.#held === 0 && this.#times.length + messages.length <= SINGLE_MAX) {
      for (const heard of messages) said.push({ kind: "one", heard });
    } else {
      this.#held += messages.length;
    }
    for (const _ of messages) this.#times.push(now);
    return said;
  }

  /** When `settle` has something to say, or null. */
  get dueAt(): number | null {
    const last = this.#times[this.#times.length - 1];
    return this.#held > 0 && last !== undefined ? last + SPAN_MS : null;
  }

  /** The count of what was held back, once the burst is over. */
  settle(now: number): Announcement | null {
    const due = this.dueAt;
    if (due === null || now < due) return null;
    const count = this.#held;
    this.#held = 0;
    this.#times = [];
    return { kind: "many", count };
  }
}
