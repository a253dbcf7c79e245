/** The choice of light or dark, kept on this device. */
import { type Theme, themeOf, wear } from "../parts/theme";
import { deviceStorage } from "./drafts";

const KEY = "deskwire:h5:appearance";

export function storedAppearance(): Theme {
  try {
    return themeOf(deviceStorage()?.getItem(KEY) ?? null);
  } catch {
    return "auto";
  }
}

export function chooseAppearance(theme: Theme): void {
  wear(theme);
  try {
    deviceStorage()?.setItem(KEY, theme);
  } catch {
    // Not kept: it then holds as long as the page.
  }
}
