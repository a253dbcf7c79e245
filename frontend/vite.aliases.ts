import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The client is no npm workspace, whose link would break the sdist; tsconfig.json names the same two. */
export const aliases = [
  { find: /^@deskwire\/client\/desk$/, replacement: here("client/desk/index.ts") },
  { find: /^@deskwire\/client$/, replacement: here("client/index.ts") },
];
