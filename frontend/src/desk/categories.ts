/** What a category is called. An event that changes it says which one it is now; `/boot` knows them all. */
import type { Row } from "@deskwire/client/desk";
import { language } from "../words/words";

type Named = Row["category"];

/** In the page's language. One that is not known is called as the row calls it. */
export function categoryName(category: Named, known: readonly Named[]): string {
  const { name_en, name_zh } = known.find(({ id }) => id === category.id) ?? category;
  return language.value === "en" ? name_en || name_zh : name_zh;
}
