// the site is the pages of docs as they are: what is here says where a page stands, and where links lead that leave docs
import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const docs = join(root, "docs");
const pages = join(root, "apps", "site", "pages");
const repository = "https://github.com/tessera-rag/tessera/blob/main";

/** A link that leaves docs, or leads to what is no page, goes to the repository, if there is such a file. */
function elsewhere(href, page) {
  if (/^(?:[a-z]+:|#)/.test(href)) return undefined;
  const [path, hash = ""] = href.split("#");
  const target = resolve(dirname(page.replace(pages, docs)), decodeURIComponent(path));
  const isPage = target.startsWith(docs) && (path.endsWith(".md") || path === "");
  if (isPage || !existsSync(target)) return undefined;
  return `${repository}/${relative(root, target)}${hash && `#${hash}`}`;
}

const escaped = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
const page = (text, link) => ({ text, link });

export default defineConfig({
  title: "Tessera",
  description: "Modular RAG for Node services",
  srcDir: "pages",
  outDir: "dist",
  cacheDir: "../../.tessera/site",
  rewrites: (id) => id.replace(/README\.md$/, "index.md"),
  srcExclude: ["examples/**"],
  vite: { logLevel: "warn" },
  // the pages are Markdown, not templates
  // an address of this machine in an example is no page
  ignoreDeadLinks: "localhostLinks",
  markdown: {
    languageAlias: { mjs: "js" },
    config: (markdown) => {
      // `<name>` in a sentence is no element; what the pages do write is a break of a line in a table, and an anchor
      for (const rule of ["html_inline", "html_block"])
        markdown.renderer.rules[rule] = (tokens, at) =>
          /^<(?:br\s*\/?|a id="[^"]*"|\/a)>/.test(tokens[at].content)
            ? tokens[at].content
            : escaped(tokens[at].content);
      // and braces in a sentence are no expression
      const render = markdown.render.bind(markdown);
      markdown.render = (...given) => render(...given).replace(/\{(?=\{)/g, "&#123;");
      markdown.core.ruler.before("linkify", "repository", ({ tokens, env }) => {
        for (const { children } of tokens)
          for (const token of children ?? []) {
            const found =
              token.type === "link_open" && elsewhere(token.attrGet("href") ?? "", env.realPath ?? env.path);
            if (found) token.attrSet("href", found);
          }
      });
    },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      page("Start here", "/start"),
      page("Recipes", "/recipes"),
      page("Operators", "/operators/"),
      page("Flows", "/flows/"),
      page("API", "/api/"),
    ],
    sidebar: [
      {
        text: "Start here",
        items: [
          page("Install and ask", "/start"),
          page("Concepts", "/design"),
          page("In a service", "/embedding"),
          page("Recipes", "/recipes"),
          page("Comparison", "/comparison"),
        ],
      },
      {
        text: "Use",
        items: [
          page("Documents", "/documents"),
          page("The HTTP service", "/service"),
          page("Configuration", "/config"),
          page("Durable runs", "/durable"),
          page("Deploy", "/deploy"),
          page("Errors", "/errors"),
        ],
      },
      {
        text: "Reference",
        items: [
          page("Operators", "/operators/"),
          page("Flows", "/flows/"),
          page("API", "/api/"),
          page("Models", "/models/encoder"),
        ],
      },
      {
        text: "Figures",
        items: [
          page("Evaluation", "/evaluation"),
          page("Benchmarks", "/benchmarks"),
          page("Scale", "/scale"),
          page("Tests", "/tests"),
        ],
      },
    ],
  },
});
