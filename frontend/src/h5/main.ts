import "../look.css";
import "./h5.css";
import { createApp } from "vue";
import { wear } from "../parts/theme";
import { chooseLanguage, speak } from "../words/words";
import App from "./App.vue";
import { storedAppearance } from "./appearance";
import { createRouter } from "./router";
import { followViewport } from "./viewport";

wear(storedAppearance());
speak(chooseLanguage(null, navigator.languages));
followViewport();
createApp(App, { router: createRouter() }).mount("#app");
