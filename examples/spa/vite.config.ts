import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  // Files instead of data: addresses, which the Content-Security-Policy of the API does not allow.
  build: { assetsInlineLimit: 0 },
  // npm run dev serves the page at http://127.0.0.1:5173, and the API runs beside it.
  server: { host: "127.0.0.1", proxy: { "/api": "http://127.0.0.1:7090" } },
  test: { environment: "jsdom", setupFiles: "./src/testing/setup.ts", restoreMocks: true },
});
