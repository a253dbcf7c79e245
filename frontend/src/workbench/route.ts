/** The addresses of the workbench: /workbench and /workbench/c/<conversation>. Pure. */

const HOME = "/workbench";
const CONVERSATION = /^\/workbench\/c\/([^/]+)\/?$/;

export function convOf(pathname: string): string | null {
  const found = CONVERSATION.exec(pathname)?.[1];
  if (found === undefined) return null;
  try {
    return decodeURIComponent(found);
  } catch {
    return null;
  }
}

export function pathOf(conv: string | null): string {
  return conv === null ? HOME : `${HOME}/c/${encodeURIComponent(conv)}`;
}
