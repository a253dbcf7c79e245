/**
 * One conversation on screen: the folded view, the items of its timeline, and what a person does
 * there. Ends with the scope it was made in.
 */
import {
  type ConversationSnapshot,
  type ConversationView,
  type Desk,
  type EntriesPage,
  foldConversation,
  type Me,
  type Talk,
  withEarlier,
} from "@deskwire/client/desk";
import {
  type ComputedRef,
  computed,
  onScopeDispose,
  type Ref,
  ref,
  type ShallowRef,
  shallowRef,
  watch,
} from "vue";
import { firstNewIndex, type TimelineItem } from "../parts/timeline";
import { useAgain } from "./again";
import { commandIdsOf, firstOf, headOf, itemsOf, keepSame, readMarkOf } from "./items";
import { useOutbox } from "./outbox";

export interface OpenConversation {
  view: Readonly<ShallowRef<ConversationView | null>>;
  items: ComputedRef<readonly TimelineItem[]>;
  /** The read mark when the conversation came on screen, or null if nothing was new. */
  newAfter: Readonly<Ref<number | null>>;
  loadingOlder: Readonly<Ref<boolean>>;
  /** Why the last load failed, or null. */
  failure: Readonly<ShallowRef<unknown>>;
  /** Why the server no longer lets us watch, or null. */
  lost: Readonly<ShallowRef<string | null>>;
  load(): Promise<void>;
  loadOlder(): Promise<void>;
  /** All that is shown has been seen. Call only while the newest entry is in sight. */
  readAll(): void;
  /** The line 以下为新消息 moves to the read mark: the person has come back to the page. */
  comeBack(): void;
  /** On every change of the draft; goes out at most every 3 s. */
  typing(on: boolean, mode?: "reply" | "note"): void;
  /** Says, while the conversation is on screen, that I look at it. Agents only. */
  viewing(on: boolean): void;
  post(body: string): void;
  note(body: string): void;
  retry(commandId: string): void;
  remove(commandId: string): void;
}

const TYPING_EVERY_MS = 3000;
const PAGE = 50;
/** How far back the first new message is looked for. */
const PAGES_MAX = 5;

type OwnTalk = Talk<ConversationView>;

export function useConversation(
  desk: Desk,
  conv: string,
  me: Me & { name: string },
): OpenConversation {
  const view = shallowRef<ConversationView | null>(null);
  const failure = shallowRef<unknown>(null);
  const lost = shallowRef<string | null>(null);
  const newAfter = ref<number | null>(null);
  const loadingOlder = ref(false);
  const outbox = useOutbox(desk, conv);
  const path = `/conversations/${encodeURIComponent(conv)}`;
  let talk: OwnTalk | null = null;
  let hasEnded = false;

  let shown: readonly TimelineItem[] = [];
  const items = computed(() => {
    const { entries = [], marks = [] } = view.value ?? {};
    shown = keepSame(shown, itemsOf({ entries, marks, outbox: outbox.value, me }));
    return shown;
  });

  function show(next: ConversationView): void {
    if (view.value !== null) view.value = next;
  }

  async function load(): Promise<void> {
    failure.value = null;
    lost.value = null;
    try {
      if (talk) await talk.reload();
      else await begin();
    } catch (error) {
      failure.value = error;
    }
  }

  useAgain(failure, load);

  /** Nothing is shown before the first new message is there: the reader begins with it. */
  async function begin(): Promise<void> {
    const begun = await follow();
    talk = begun;
    if (hasEnded) return begun.end();
    await reachFirstNew(begun);
    view.value = begun.view();
    comeBack();
  }

  /** Who has read nothing yet begins with the newest page, whatever lies before it. */
  async function reachFirstNew(begun: OwnTalk): Promise<void> {
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const { marks, entries, more } = begun.view();
      const mark = readMarkOf(marks, me);
      if (mark === 0 || !more || firstOf(entries) <= mark + 1) return;
      if (!(await loadPage(begun))) return;
    }
  }

  function follow(): Promise<OwnTalk> {
    return desk.follow<ConversationSnapshot, ConversationView>(
      path,
      foldConversation,
      show,
      (why) => {
        lost.value = why;
      },
    );
  }

  async function loadOlder(): Promise<void> {
    if (!talk || loadingOlder.value || !view.value?.more) return;
    loadingOlder.value = true;
    await loadPage(talk);
    loadingOlder.value = false;
  }

  /** False if the page did not come: the connection's own banner says why. */
  async function loadPage(of: OwnTalk): Promise<boolean> {
    const before = firstOf(of.view().entries);
    try {
      const page = await desk.get<EntriesPage>(`${path}/messages?before=${before}&limit=${PAGE}`);
      of.update((earlier) => withEarlier(earlier, page));
      return true;
    } catch {
      return false;
    }
  }

  function comeBack(): void {
    const mark = readMarkOf(view.value?.marks ?? [], me);
    const isNew = view.value !== null && firstNewIndex(items.value, mark) >= 0;
    newAfter.value = isNew ? mark : null;
  }

  let typedAt = 0;
  function typing(on: boolean, mode?: "reply" | "note"): void {
    const now = Date.now();
    if (on ? now - typedAt < TYPING_EVERY_MS : typedAt === 0) return;
    typedAt = on ? now : 0;
    talk?.typing(on, mode);
  }

  /** A refusal stands at the bubble in the outbox, so the promise needs no second ear. */
  function send(name: string, args: object): void {
    typing(false);
    desk.command(name, { conv, args, durable: true }).catch(() => undefined);
  }

  // A message whose event came with the snapshot has arrived as much as one from the socket.
  watch([view, outbox], () => {
    const arrived = commandIdsOf(view.value?.entries ?? []);
    for (const { commandId } of outbox.value) {
      if (arrived.has(commandId)) desk.outbox.confirm(commandId);
    }
  });

  onScopeDispose(() => {
    hasEnded = true;
    talk?.end();
  });

  return {
    view,
    items,
    newAfter,
    loadingOlder,
    failure,
    lost,
    load,
    loadOlder,
    readAll() {
      const head = headOf(view.value?.entries ?? []);
      if (head > 0) talk?.read(head);
    },
    comeBack,
    typing,
    viewing: (on) => talk?.viewing(on),
    post: (body) => send("post_message", { kind: "text", body }),
    note: (body) => send("post_note", { body }),
    retry: (commandId) => desk.outbox.retry(commandId),
    remove: (commandId) => desk.outbox.remove(commandId),
  };
}
