// the pages of docs/flows: one a flow, with its drawing, and the list of them
import { existsSync } from "node:fs";
import { join } from "node:path";
import { runnableSamples } from "./recordings.mjs";

const number = (value) => value.toLocaleString("en-US");
const row = (cells) => `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head, rows) => [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

const modularRag = ["Gao et al. 2024", "2407.21059"];
/** Whose method a flow is, and its paper on arXiv; a flow of no method of its own is a pattern of Modular RAG. */
const papers = {
  ...{ "adaptive-rag": ["Jeong et al. 2024", "2403.14403"], crag: ["Yan et al. 2024", "2401.15884"] },
  ...{ "chain-of-verification": ["Dhuliawala et al. 2023", "2309.11495"], "dr-rag": ["Hei et al. 2024", "2406.07348"] },
  ...{ flare: ["Jiang et al. 2023", "2305.06983"], hyde: ["Gao et al. 2022", "2212.10496"] },
  ...{ ircot: ["Trivedi et al. 2023", "2212.10509"], "iter-retgen": ["Shao et al. 2023", "2305.15294"] },
  ...{ "multi-head-rag": ["Besta et al. 2024", "2406.05085"], planrag: ["Lee et al. 2024", "2406.12430"] },
  ...{ rag: ["Lewis et al. 2020", "2005.11401"], chat: ["Lewis et al. 2020", "2005.11401"] },
  ...{ replug: ["Shi et al. 2023", "2301.12652"], "rq-rag": ["Chan et al. 2024", "2404.00610"] },
  ...{ rrr: ["Ma et al. 2023", "2305.14283"], "self-ask": ["Press et al. 2022", "2210.03350"] },
  ...{ "self-rag": ["Asai et al. 2023", "2310.11511"], "self-rag-tokens": ["Asai et al. 2023", "2310.11511"] },
  ...{ "step-back": ["Zheng et al. 2023", "2310.06117"], sure: ["Kim et al. 2024", "2404.13081"] },
  ...{ "tree-of-clarifications": ["Kim et al. 2023", "2310.14696"], "tune-both": ["Lin et al. 2023", "2310.01352"] },
  ...{ codechain: ["Le et al. 2023", "2310.08992"], "codechain-modules": ["Le et al. 2023", "2310.08992"] },
  ...{ funcoder: ["Chen et al. 2024", "2405.20092"], "self-debug": ["Chen et al. 2023", "2304.05128"] },
};
const ownWays = new Set(["best-of-n", "consensus"]);

/** The line that names the paper of a flow. */
function paperOf(name) {
  if (ownWays.has(name)) return "";
  const [authors, id] = papers[name] ?? modularRag;
  return `Paper: [${authors}, arXiv ${id}](https://arxiv.org/abs/${id}).\n\n`;
}

/** The operators that a checked flow and the flows in it run, with their configs. */
const bodiesOf = ({ nodes }) => nodes.flatMap(({ body }) => (body.kind === "flow" ? bodiesOf(body) : [body]));

const kinds = {
  ...{ model: "model", encoder: "encoder", store: "store", sparse: "store", dense: "store" },
  ...{ database: "database", sandbox: "sandbox", graph: "graph" },
};

/** The resources that an operator's config names. */
const resourcesOf = ({ config }) =>
  Object.entries(config).flatMap(([key, value]) => {
    if (Array.isArray(value))
      return value.flatMap((member) => (typeof member === "object" && member ? resourcesOf({ config: member }) : []));
    return Object.hasOwn(kinds, key) && typeof value === "string" ? [`${kinds[key]} \`${value}\``] : [];
  });

const unique = (list) => [...new Set(list)].sort();

/** The command that runs a flow on its sample, and what is to be known of it. */
function sampleOf(name, { input }, resources, samples) {
  const sample = samples.find((one) => one.name === name);
  if (!sample) return "";
  const { cassette, question } = sample;
  const needs = (kind) => resources.some((resource) => resource.startsWith(kind));
  const lines = [
    `npx tessera run ${name}`,
    ...(needs("store") ? ["--data packages/flows/samples/town"] : []),
    ...(needs("database") ? ["--database packages/flows/src/planrag/samples/towns.db"] : []),
    ...(cassette ? [`--cassette ${cassette}`] : []),
    `--input ${question}`,
  ];
  const about = cassette
    ? `Offline, on a sample of the repository. The answers of the cassette are scripted: they were written by hand, and no model
gave them. \`--model code-language-model\` in its place asks our own, \`--endpoint <address> --model <name>\` a service${
        "problem" in input ? "" : "; `--source <folder>` in the place of `--data` searches a folder of yours"
      }.`
    : "Offline, on a sample of the repository, without a model.";
  return `${about}\n\n    ${lines.join(" \\\n      ")}\n`;
}

/** Each page and the list of pages, by file name. `root` is the repository. */
export async function flowPages(root) {
  const { show } = await import("@tessera/core/internal");
  const { flows } = await import("@tessera/flows");
  const { checkFlow, mermaid } = await import("@tessera/graph");
  const { operators } = await import("@tessera/tessera");
  const pages = new Map();
  const samples = runnableSamples(root, flows);
  const rows = [...flows].map(([name, { flow, summary, about }]) => {
    const { document, plan, bound } = checkFlow(flow.document, operators);
    const source = `../../packages/flows/src/${name}`;
    const ports = [
      ...[...plan.input].map(([port, { type, optional }]) => [
        ...["in", `\`${port}\``, `${optional ? "optional " : ""}${show(type)}`],
      ]),
      ...[...plan.output].map(([port, { type }]) => ["out", `\`${port}\``, show(type)]),
    ];
    const bodies = bodiesOf(plan);
    const resources = unique(bodies.flatMap(resourcesOf));
    const sample = sampleOf(name, document, resources, samples);
    pages.set(
      `${name}.md`,
      `# ${name}

${about}

${paperOf(name)}[\`flow.ts\`](${source}/flow.ts) composes it, [\`flow.json\`](${source}/flow.json) is the same flow as data.${
        existsSync(join(root, "packages/flows/src", name, "samples"))
          ? ` Its [samples](${source}/samples) run in the tests.`
          : ""
      }

${sample}
${table(["", "port", "type"], ports)}

A run spends at most ${number(bound.calls)} model calls and ${number(bound.tokens)} tokens, in ${number(bound.steps)} steps.
It needs: ${resources.join(", ") || "no resource"}.
It runs: ${unique(bodies.map(({ operator }) => operator.name))
        .map((operator) => `\`${operator}\``)
        .join(", ")}.

\`\`\`mermaid
${mermaid(document)}\`\`\`

This page is generated by \`npm run generate\`.
`,
    );
    return [`[${name}](${name}.md)`, summary, number(bound.calls)];
  });
  pages.set(
    "README.md",
    `# Flows

The named flows of the catalogue. Each is a document that can be run, read and changed: \`npx tessera run <name>\`, or copy its
\`flow.json\`. Where the authors of a method trained weights of their own, a prompted judge or rewriter stands in for them, and
the method's page says so. The last column is the most model calls that a run can spend. Each page has a command that runs its
flow offline, on recorded answers; \`npm run flows\` runs all of them by our language model.

${table(["flow", "what it does", "calls"], rows)}

This page is generated by \`npm run generate\`.
`,
  );
  return pages;
}
