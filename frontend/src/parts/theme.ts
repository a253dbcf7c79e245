/** Light, dark, or as the system: `<html data-theme>` is what look.css goes by. */

export type Theme = "auto" | "light" | "dark";

export const themes: readonly Theme[] = ["auto", "light", "dark"];

export function themeOf(stored: string | null): Theme {
  return themes.includes(stored as Theme) ? (stored as Theme) : "auto";
}

export function wear(theme: Theme): void {
  const root = document.documentElement;
  if (theme === "auto") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme);
}
