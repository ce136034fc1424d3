// npm run site: copies docs, and builds the site of it into dist, without a network. A dead link is an error.
import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "vitepress";

const folder = fileURLToPath(new URL(".", import.meta.url));
const pages = fileURLToPath(new URL("pages", import.meta.url));
rmSync(pages, { recursive: true, force: true });
// a copy: what a page is compiled to finds its packages beside itself
cpSync(fileURLToPath(new URL("../../docs", import.meta.url)), pages, { recursive: true });
cpSync(fileURLToPath(new URL("home.md", import.meta.url)), fileURLToPath(new URL("pages/index.md", import.meta.url)));
await build(folder);
