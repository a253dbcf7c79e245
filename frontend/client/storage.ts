/** The browser's storages, or memory where they are forbidden, full or absent. Never throws. */

export interface Store {
  get(key: string): string | null;
  /** False: it is kept in memory only and will not survive the page. */
  set(key: string, value: string): boolean;
  remove(key: string): void;
  keys(): string[];
}

/** What of a browser's Storage is used; its own type is unknown where there is no DOM. */
interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export function storeOver(open: () => Shelf): Store {
  const memory = new Map<string, string>();
  let storage: Shelf | null = null;
  try {
    storage = open();
  } catch {
    storage = null;
  }
  const attempt = <T>(act: (storage: Shelf) => T, otherwise: T): T => {
    try {
      return storage ? act(storage) : otherwise;
    } catch {
      return otherwise;
    }
  };
  return {
    get: (key) => memory.get(key) ?? attempt((at) => at.getItem(key), null),
    set(key, value) {
      const kept = attempt((at) => {
        at.setItem(key, value);
        return true;
      }, false);
      if (kept) memory.delete(key);
      else memory.set(key, value);
      return kept;
    },
    remove(key) {
      memory.delete(key);
      attempt((at) => at.removeItem(key), undefined);
    },
    keys: () => [...new Set([...attempt((at) => Object.keys(at), []), ...memory.keys()])],
  };
}

export const localStore = (): Store => storeOver(() => localStorage);
export const sessionStore = (): Store => storeOver(() => sessionStorage);
