import { createApp } from "vue";
import "../look.css";
import "./workbench.css";
import App from "./App.vue";

createApp(App).mount("#app");
