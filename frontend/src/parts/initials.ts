/** What stands in an avatar without a picture: 李娜 → 李娜, 王小明 → 小明, Ada Lovelace → AL. */
export function initialsOf(name: string): string {
  const clean = name.trim();
  if (clean === "") return "?";
  if (/\p{Script=Han}/u.test(clean)) return [...clean.replace(/\s+/g, "")].slice(-2).join("");
  const words = clean.split(/\s+/);
  const first = [...(words[0] ?? "")][0] ?? "";
  const last = words.length > 1 ? ([...(words[words.length - 1] ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}
