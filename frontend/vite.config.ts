import { fileURLToPath } from "node:url";
import vue from "@vitejs/plugin-vue";
import { defineConfig, type Plugin } from "vite";
import { aliases } from "./vite.aliases.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where `npm run dev` finds the demo; DESKWIRE_DEMO names another address. */
const demo = process.env.DESKWIRE_DEMO ?? "http://127.0.0.1:8000";

/** The server answers /h5/… and /workbench/… with one page each; the dev server has to do the same. */
function pages(): Plugin {
  return {
    name: "deskwire-pages",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use((request, _response, next) => {
        const page = /^\/(workbench|h5)(?:[/?#]|$)/.exec(request.url ?? "");
        if (page) request.url = `/static/${page[1]}.html`;
        next();
      });
    },
  };
}

// The server compares Origin with its own list, so the dev proxy speaks with the demo's.
const proxied = { target: demo, changeOrigin: true, headers: { origin: demo } };

export default defineConfig({
  root: here("."),
  base: "/static/",
  plugins: [vue(), pages()],
  resolve: { alias: aliases },
  // Nothing here is written in the options style; without it Vue is a fifth smaller.
  define: { __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false" },
  build: {
    outDir: here("../src/deskwire/web/static"),
    emptyOutDir: true,
    manifest: true,
    // Old webviews are real: WeCom's own Chromium on Android, WebKit of iOS 13.
    target: ["es2019", "chrome78", "safari13"],
    cssTarget: ["chrome78", "safari13"],
    rolldownOptions: { input: { workbench: here("workbench.html"), h5: here("h5.html") } },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": proxied,
      "/login": proxied,
      "/_wecom": proxied,
      "/ws": { ...proxied, ws: true },
    },
  },
});
