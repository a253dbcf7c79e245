/** Finds http(s) links in a message. What it returns, joined, is exactly the text it was given. */

export type Piece = { kind: "text"; text: string } | { kind: "link"; text: string; href: string };

/** Only what a URL may hold in ASCII: Chinese text and punctuation after a link end it. */
const CANDIDATE = /https?:\/\/[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+/gi;
const TRAILING = /[.,;:!?'"*~]+$/;

export function splitLinks(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const link = withoutTrail(match[0]);
    const href = hrefOf(link);
    if (href === null) continue;
    if (match.index > from) pieces.push({ kind: "text", text: text.slice(from, match.index) });
    pieces.push({ kind: "link", text: link, href });
    from = match.index + link.length;
  }
  if (from < text.length) pieces.push({ kind: "text", text: text.slice(from) });
  return pieces;
}

/** The sentence's own punctuation, and a bracket that opened before the link, stay outside. */
function withoutTrail(link: string): string {
  let kept = link.replace(TRAILING, "");
  while (/[)\]]$/.test(kept) && !isBalanced(kept)) {
    kept = kept.slice(0, -1).replace(TRAILING, "");
  }
  return kept;
}

function isBalanced(link: string): boolean {
  const count = (mark: string) => link.split(mark).length - 1;
  return count("(") >= count(")") && count("[") >= count("]");
}

function hrefOf(link: string): string | null {
  try {
    const url = new URL(link);
    const isWeb = url.protocol === "http:" || url.protocol === "https:";
    return isWeb && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}
