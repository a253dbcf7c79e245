/** What every screen of the page has at hand: the desk, the person, their rows, drafts, the place. */
import type { Desk, DeskState, EmployeeBoot, MineView, RowView } from "@deskwire/client/desk";
import { type InjectionKey, inject, type Ref, type ShallowRef } from "vue";
import type { Drafts } from "./drafts";
import type { Router } from "./router";

export interface Session {
  desk: Desk;
  router: Router;
  connection: Readonly<ShallowRef<DeskState>>;
  boot: Readonly<Ref<EmployeeBoot>>;
  /** Newest first. */
  rows: Readonly<Ref<readonly RowView[]>>;
  places: Readonly<Ref<MineView["places"]>>;
  drafts: Drafts;
  /** One sentence for a conversation about to be shown, and which one. */
  notice: Ref<{ conv: string; text: string } | null>;
}

export const sessionKey: InjectionKey<Session> = Symbol("session");

export function useSession(): Session {
  const session = inject(sessionKey);
  if (!session) throw new Error("no session above this component");
  return session;
}

/** Conversations that are not closed: the person's own affairs of now. */
export function isLive(row: Pick<RowView, "status">): boolean {
  return row.status !== "closed";
}
