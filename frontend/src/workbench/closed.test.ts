import type { Desk, RowView } from "@deskwire/client/desk";
import { expect, test } from "vitest";
import { useClosed } from "./closed";

const row = (conv_id: string) => ({ conv_id }) as RowView;

/** The server's pages by path; a missing one is a server that does not answer. */
function deskWith(pages: Record<string, { rows: RowView[]; next: string | null }>) {
  const asked: string[] = [];
  const get = async (path: string) => {
    asked.push(path);
    const page = pages[path];
    if (!page) throw new Error("unreachable");
    return page;
  };
  return { desk: { get } as unknown as Desk, asked };
}

const FIRST = "/conversations?view=closed&limit=50";

test("pages follow one another, by the server's own mark", async () => {
  const { desk } = deskWith({
    [FIRST]: { rows: [row("a")], next: "x/1" },
    [`${FIRST}&after=x%2F1`]: { rows: [row("b")], next: null },
  });
  const closed = useClosed(desk);

  await closed.load();
  expect(closed.more.value).toBe(true);
  await closed.loadMore();

  expect(closed.rows.value?.map((each) => each.conv_id)).toEqual(["a", "b"]);
  expect(closed.more.value).toBe(false);
});

test("after the last page nothing more is asked for", async () => {
  const { desk, asked } = deskWith({ [FIRST]: { rows: [], next: null } });
  const closed = useClosed(desk);
  await closed.load();

  await closed.loadMore();

  expect(asked).toEqual([FIRST]);
});

test("a page that does not come leaves what was there, and says so", async () => {
  const { desk } = deskWith({ [FIRST]: { rows: [row("a")], next: "x" } });
  const closed = useClosed(desk);
  await closed.load();

  await closed.loadMore();

  expect(closed.rows.value?.map((each) => each.conv_id)).toEqual(["a"]);
  expect(closed.failure.value).toBeInstanceOf(Error);
  expect(closed.loading.value).toBe(false);
});
