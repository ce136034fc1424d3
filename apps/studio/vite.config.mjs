import { Bundled } from "@tessera/setup/notices.mjs";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const bundled = new Bundled();

export default defineConfig({
  base: "/studio/",
  plugins: [react(), bundled.plugin, { name: "notices", closeBundle: () => bundled.write("dist") }],
  worker: { plugins: () => [bundled.plugin] },
  html: { cspNonce: "__NONCE__" },
  build: {
    target: "es2023",
    outDir: "dist",
    emptyOutDir: true,
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    reportCompressedSize: false,
  },
});
