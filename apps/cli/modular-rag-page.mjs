// docs/modular-rag.md: what Modular RAG asks of a framework, row by row, and the tests that check each row
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** [row, level, what is asked, the commands that measure it on published data]; a test names its row as "row 7: …". */
const rows = [
  [1, "core", "three levels: six modules, their sub-modules, the 39 operators"],
  [2, "core", "flows are checked with their types before they run"],
  [3, "core", "a flow is data, and its runs can be replayed"],
  [4, "core", "one operator swapped, and the difference by question", "eval rows 4, eval diff"],
  [5, "core", "naive RAG is advanced RAG with identities before and after retrieval", "eval rows 5"],
  [6, "indexing", "sliding window"],
  [7, "indexing", "metadata, and filters before the best are taken"],
  [8, "indexing", "small-to-big: parents", "eval chunking"],
  [9, "indexing", "small-to-big: windows of sentences", "eval rows 9, eval chunking"],
  [10, "indexing", "hierarchical index", "eval rows 10"],
  [11, "indexing", "knowledge-graph index", "eval rows 11, eval musique"],
  [12, "indexing", "reverse HyDE"],
  [13, "pre-retrieval", "multi-query"],
  [14, "pre-retrieval", "sub-queries, side by side and one after the other", "eval rows 14, eval musique"],
  [15, "pre-retrieval", "chain of verification"],
  [16, "pre-retrieval", "rewriting"],
  [17, "pre-retrieval", "HyDE"],
  [18, "pre-retrieval", "step-back"],
  [19, "pre-retrieval", "text-to-SQL", "eval guards, eval rows 19"],
  [20, "pre-retrieval", "text-to-Cypher", "eval guards, eval rows 20"],
  [21, "retrieval", "sparse", "eval rows 21, eval nq"],
  [22, "retrieval", "dense, exact and approximate", "eval nq"],
  [23, "retrieval", "hybrid", "eval rows 23, eval fusion"],
  [24, "retrieval", "multi-vector: Multi-Head RAG", "eval rows 24"],
  [25, "retriever tuning", "supervised"],
  [26, "retriever tuning", "supervised by a language model"],
  [27, "retriever tuning", "adapter", "eval rows 27, eval tuning"],
  [28, "post-retrieval", "MMR"],
  [29, "post-retrieval", "reranking by a model"],
  [30, "post-retrieval", "compression", "eval rows 30"],
  [31, "post-retrieval", "selective context"],
  [32, "post-retrieval", "selection by critique", "eval rows 32"],
  [33, "generation", "answers with citations"],
  [34, "generator tuning", "instruction tuning and distillation"],
  [35, "generator tuning", "preferences"],
  [36, "generator tuning", "dual tuning"],
  [37, "generation", "verification by knowledge", "eval rows 37"],
  [38, "generation", "verification by a model, and writing again"],
  [39, "orchestration", "metadata routing"],
  [40, "orchestration", "semantic routing", "eval rows 40, eval clinc"],
  [41, "orchestration", "hybrid routing", "eval rows 41"],
  [42, "orchestration", "rule judge"],
  [43, "orchestration", "model judge"],
  [44, "orchestration", "knowledge guide"],
  [45, "orchestration", "fusion by a model"],
  [46, "orchestration", "weighted ensemble"],
  [47, "orchestration", "reciprocal rank fusion"],
  [48, "flow", "linear; RRR"],
  [49, "flow", "conditional; Adaptive-RAG, CRAG"],
  [50, "flow", "branching before retrieval"],
  [51, "flow", "branching after retrieval; REPLUG, SuRe"],
  [52, "flow", "iterative; ITER-RETGEN, IRCoT"],
  [53, "flow", "recursive; Tree of Clarifications"],
  [54, "flow", "active; FLARE"],
  [55, "flow", "Self-RAG"],
  [56, "flow", "PlanRAG", "eval rows 56"],
  [57, "flow", "DR-RAG"],
  [58, "flow", "flows in flows"],
  [59, "tuning", "the three tuning patterns", "eval tuning"],
  [60, "evaluation", "measures"],
  [61, "evaluation", "flows compared, with intervals", "eval grid"],
  [62, "operation", "budget, cancellation, retry, cache"],
];

function* testsBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== "node_modules" && entry.name !== "dist") yield* testsBelow(path);
    else if (entry.name.endsWith(".test.ts")) yield path;
  }
}

/** The names of tests by the row that they bear, each with its file. */
function testsByRow(root) {
  const found = new Map();
  for (const place of ["packages", "apps"])
    for (const path of testsBelow(join(root, place)))
      for (const [, name] of readFileSync(path, "utf8").matchAll(/["'`]((?:row \d+, )*row \d+: [^\n]*?)["'`],/g))
        for (const [, row] of name.matchAll(/row (\d+)[,:]/g))
          found.set(Number(row), [
            ...(found.get(Number(row)) ?? []),
            { name: name.replace(/^(?:row \d+[,:] ?)+/, ""), file: relative(root, path).replaceAll("\\", "/") },
          ]);
  return found;
}

/** The text of the page. @throws Error where a row has no test. */
export function modularRagPage(root) {
  const tests = testsByRow(root);
  const bare = rows.map(([row]) => row).filter((row) => !tests.has(row));
  if (bare.length > 0) throw new Error(`no test bears the name of row ${bare.join(", ")}`);
  const lines = rows.map(([row, level, asked, commands]) => {
    const named = tests
      .get(row)
      .map(
        ({ name, file }) =>
          `[${name.replaceAll("|", "\\|").replaceAll("[", "\\[").replaceAll("]", "\\]")}](../${file})`,
      );
    const measured = (commands?.split(", ") ?? []).map((command) => `\`tessera ${command}\``);
    return `| ${row} | ${level} | ${asked} | ${named.join("<br>")} | ${measured.join("<br>")} |`;
  });
  return `# Modular RAG, row by row

What Modular RAG (Gao et al. 2024, arXiv 2407.21059) and the methods that it names ask of a framework, and the tests that
check it here. The last column has the commands that measure a row on published data ([evaluation](evaluation.md)).

| row | level | what | tests | measured by |
|---|---|---|---|---|
${lines.join("\n")}

This page is generated by \`npm run generate\`, which ends with an error where a row has no test.
`;
}
