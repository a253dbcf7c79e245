import "../look.css";
import "./h5.css";
import { openDesk } from "@deskwire/client/desk";
import { createApp } from "vue";
import { wear } from "../parts/theme";
import { chooseLanguage, speak } from "../words/words";
import App from "./App.vue";
import { storedAppearance } from "./appearance";
import { goToLogin } from "./login";
import { createRouter } from "./router";
import { followViewport } from "./viewport";

wear(storedAppearance());
speak(chooseLanguage(null, navigator.languages));
followViewport();

const router = createRouter();
const desk = openDesk({
  realm: "employee",
  client: "h5/0.1.0",
  keep: "memory",
  login: renew,
});

/**
 * Employees log in through WeCom, which takes the whole page and comes back to the same place. A
 * login that is only about to end (no code yet) is renewed while nobody looks, else at its end.
 */
function renew(why: number | null): Promise<void> {
  const isEarly = why === null && document.visibilityState === "visible";
  return isEarly ? Promise.reject(new Error("later")) : goToLogin(router);
}

createApp(App, { desk, router }).mount("#app");
