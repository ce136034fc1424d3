// the site is the pages of docs as they are: what is here says where a page stands, and where links lead that leave docs
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const docs = join(root, "docs");
const pages = join(root, "apps", "site", "pages");
const { repository: own } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const repository = `${own.url.replace(/^git\+|\.git$/g, "")}/blob/main`;

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

/** The pages of a folder, each by its heading. */
const pagesOf = (folder) =>
  readdirSync(join(docs, folder))
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => {
      const [, heading = name] = /^# (.+)$/m.exec(readFileSync(join(docs, folder, name), "utf8")) ?? [];
      // the file's name has the day of a decision
      return page(
        heading.replaceAll(/`|^\d{4}-\d\d-\d\d: | \(\d{4}-\d\d-\d\d\)$/g, ""),
        `/${folder}/${name.replace(/\.md$/, "")}`,
      );
    });

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
          page("Modular RAG", "/modular-rag"),
          page("Comparison", "/comparison"),
        ],
      },
      {
        text: "Use",
        items: [
          page("Documents", "/documents"),
          page("Prompts", "/prompts"),
          page("Flows that wait", "/waiting"),
          page("Durable runs", "/durable"),
          page("MCP servers", "/mcp"),
          page("The HTTP service", "/service"),
          page("Studio", "/studio"),
          page("Configuration", "/config"),
          page("Deploy", "/deploy"),
          page("Scale", "/scale"),
          page("Errors", "/errors"),
        ],
      },
      {
        text: "Reference",
        items: [page("Operators", "/operators/"), page("Flows", "/flows/"), page("API", "/api/")],
      },
      { text: "Models", collapsed: true, items: pagesOf("models") },
      {
        text: "Figures",
        items: [
          page("Evaluation", "/evaluation"),
          page("Benchmarks", "/benchmarks"),
          page("Tests", "/tests"),
          page("Experiments", "/log"),
        ],
      },
      { text: "Decisions", collapsed: true, items: pagesOf("decisions").reverse() },
    ],
  },
});
