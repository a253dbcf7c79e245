/**
 * Which device and which tab this is. The tab's id lives in sessionStorage under a Web Lock: a duplicated tab brings a
 * copy of the id, finds it held, and takes a new one; so no two living tabs fight for one place.
 */
import { randomId } from "./ids.ts";
import { localStore, type Store, sessionStore } from "./storage.ts";

const DEVICE = "deskwire:device";
const TAB = "deskwire:tab";

export interface Identity {
  device: string;
  tab: string;
}

export class Tab {
  private readonly session: Store;
  private readonly device: string;
  private held: string | null = null;

  constructor(local: Store = localStore(), session: Store = sessionStore()) {
    this.session = session;
    this.device = local.get(DEVICE) ?? randomId("d-");
    local.set(DEVICE, this.device);
  }

  /** `anew`: give the old place up and take another. */
  async identity(anew: boolean): Promise<Identity> {
    if (anew || this.held === null) {
      const known = anew ? null : this.session.get(TAB);
      this.held = known !== null && (await hold(known)) ? known : await this.take();
    }
    return { device: this.device, tab: this.held };
  }

  private async take(): Promise<string> {
    const id = randomId("t-");
    await hold(id);
    this.session.set(TAB, id);
    return id;
  }
}

/** True: ours until the page ends. Without Web Locks there is nothing to ask. */
function hold(id: string): Promise<boolean> {
  const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
  if (!locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    locks
      .request(`${TAB}:${id}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock ? new Promise<never>(() => undefined) : undefined;
      })
      .catch(() => resolve(true));
  });
}
