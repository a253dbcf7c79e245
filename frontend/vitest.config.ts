import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";
import { aliases } from "./vite.aliases.ts";

// Tests run in plain Node; the few that need a DOM say `// @vitest-environment jsdom` on their first line.
export default defineConfig({
  plugins: [vue()],
  resolve: { alias: aliases },
  test: {
    include: ["client/**/*.test.ts", "src/**/*.test.ts"],
    environment: "node",
    // Tests put back what they stub, so files may share a worker: a third of the time.
    isolate: false,
    unstubGlobals: true,
    testTimeout: 10_000,
  },
});
