// npm run api: writes docs/api, a page for each package, from the public names and their comments
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { Application } from "typedoc";
import { documentedPackages, pageOf } from "./face.mjs";
import { root } from "./setup.mjs";

const pages = join(root, "docs/api");
const draft = join(root, ".tessera/api");
const all = documentedPackages();

/** A link from a page of typedoc's to another one, as a link between pages of docs/api. */
const linked = (text) => text.replace(/\]\((?:\.\.\/)+(?:operators\/)?([\w-]+)\/src\.md/g, (_, name) => `](${name}.md`);

async function convert() {
  const app = await Application.bootstrapWithPlugins({
    entryPoints: all.map(({ place }) => join(place, "src/index.ts")),
    tsconfig: join(root, "tsconfig.json"),
    plugin: ["typedoc-plugin-markdown"],
    router: "module",
    name: "Tessera",
    readme: "none",
    skipErrorChecking: true,
    disableSources: true,
    excludeExternals: true,
    excludePrivate: true,
    hideBreadcrumbs: true,
    hidePageHeader: true,
    hideGroupHeadings: true,
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    typeDeclarationFormat: "table",
    // "a name without a comment" is said of names alone, not of every member of a type
    validation: { notExported: false, invalidLink: true, notDocumented: false },
    logLevel: "Warn",
    outputs: [{ name: "markdown", path: draft }],
  });
  const project = await app.convert();
  if (!project) throw new Error("typedoc could not read the sources");
  app.validate(project);
  rmSync(draft, { recursive: true, force: true });
  await app.generateOutputs(project);
}

await convert();
mkdirSync(pages, { recursive: true });
for (const file of readdirSync(pages)) if (file.endsWith(".md")) rmSync(join(pages, file));
for (const { name, place } of all) {
  const text = readFileSync(join(draft, relative(join(root, "packages"), place), "src.md"), "utf8");
  const body = text.replace(
    /^# .*\n/,
    `# ${name}\n\n\`npm run api\` writes this page from the comments of the sources.\n`,
  );
  writeFileSync(
    join(root, pageOf(name)),
    `${linked(body)
      .replace(/[ \t]+$/gm, "")
      .trimEnd()}\n`,
  );
}
const index = all.map(({ name }) => `- [${name}](${name.replace("@tessera/", "")}.md)`);
writeFileSync(
  join(pages, "README.md"),
  `# The public names\n\nA page for each package: what it exports, with its comments. [names.txt](names.txt) lists the names alone. An\napplication needs \`@tessera/tessera\` only, which exports most of the others again.\n\n${index.join("\n")}\n`,
);
console.log(`wrote ${all.length} pages in docs/api`);
