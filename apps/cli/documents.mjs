// writes what is derived by running the sources: the JSON of every flow, its page, the pages of operators, the table of
// rows and their tests, the JSON Schema of flow documents, the cassettes, and the prompts that our language model is trained on
//   node --conditions=@tessera/source --import=./apps/setup/sources.mjs apps/cli/documents.mjs
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { flowPages } from "./flow-pages.mjs";
import { modularRagPage } from "./modular-rag-page.mjs";
import { operatorPages } from "./operator-pages.mjs";
import { recordings } from "./recordings.mjs";
import { trainingPrompts } from "./training-prompts.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Every such file and its text. */
export async function documents() {
  const { flowSchema } = await import("@tessera/core");
  const { flows } = await import("@tessera/flows");
  const { operators } = await import("@tessera/tessera");
  const files = new Map();
  const print = (value) => `${JSON.stringify(value, undefined, 2)}\n`;
  for (const [name, { flow }] of flows) {
    const path = join(root, "packages/flows/src", name, "flow.json");
    files.set(path, print({ $schema: "../../../../docs/flow.schema.json", ...flow.document }));
  }
  for (const [name, text] of await flowPages(root)) files.set(join(root, "docs/flows", name), text);
  for (const [name, text] of await operatorPages()) files.set(join(root, "docs/operators", name), text);
  files.set(join(root, "docs/modular-rag.md"), modularRagPage(root));
  files.set(join(root, "docs/flow.schema.json"), print(flowSchema(operators)));
  files.set(join(root, "apps/train/prompts.json"), print(await trainingPrompts()));
  for (const [path, text] of await recordings(root)) files.set(path, text);
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, text] of await documents()) {
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    console.log(`wrote ${relative(root, path)}`);
  }
