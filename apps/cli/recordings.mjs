// the cassettes of the repository: what flows ask, answered by scripts that were written by hand, and labelled so
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
// some thousand characters of a program's task, a hundred times over, would tell a reader nothing
const withoutRequest = (line) => JSON.stringify({ ...JSON.parse(line), request: undefined });
const quiet = { options: { config: false }, json: true, progress() {}, clear() {}, note() {} };

/** Runs flows on inputs as `tessera run` does, and gives the text of the cassette that this records, its answers by their keys. */
async function record(runs, model, options, kept = (line) => line) {
  const [{ compile }, { openCassette }, { operators }, { ResourceHost }, { openResources }] = await Promise.all([
    import("@tessera/graph"),
    import("@tessera/models"),
    import("@tessera/tessera"),
    import("@tessera/tessera/internal"),
    import("./src/commands/run.ts"),
  ]);
  const folder = await mkdtemp(join(tmpdir(), "tessera-recording-"));
  const home = process.env.TESSERA_HOME;
  process.env.TESSERA_HOME = folder; // an index of a source goes there
  try {
    const cassette = join(folder, "cassette.jsonl");
    const { resources, close } = await openResources(quiet, options);
    const host = new ResourceHost({ ...resources, model: { model: await openCassette(cassette, { model }) } });
    for (const [document, ...inputs] of runs) {
      const flow = await compile(document, { operators, host });
      for (const input of inputs) {
        const { status } = await flow.run(input);
        if (status !== "done") throw new Error(`the sample of "${document.name}" ends with ${status}`);
      }
    }
    await host.close();
    await close();
    const [header, ...answers] = (await readFile(cassette, "utf8")).trimEnd().split("\n");
    return `${[header, ...answers.sort().map(kept)].join("\n")}\n`;
  } finally {
    if (home === undefined) delete process.env.TESSERA_HOME;
    else process.env.TESSERA_HOME = home;
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The samples that run from the command line, by flow: paths from the root of the repository. A flow may have no samples; one
 * without a model has no cassette; the flows that write programs share one problem.
 */
export function runnableSamples(root, flows) {
  const source = "packages/flows/src";
  return [...flows].flatMap(([name, { flow }]) => {
    const own = `${source}/${name}/samples`;
    const folders =
      "problem" in flow.document.input
        ? [`${source}/codechain/samples/even-squares`]
        : existsSync(join(root, own))
          ? readdirSync(join(root, own)).map((sample) => `${own}/${sample}`)
          : [];
    return folders.flatMap((folder) => {
      if (!existsSync(join(root, folder, "input.json"))) return [];
      const script = `${folder}/model.json`;
      const scripted = existsSync(join(root, script));
      const cassette = `${own}/${basename(folder)}/cassette.jsonl`;
      return [{ name, question: `${folder}/input.json`, ...(scripted && { script, cassette }) }];
    });
  });
}

/** What the grid over the town asks of a model: every question, by both rows that a grid always has and by two flows. */
async function townAnswers(data, flows, ruledModel) {
  const { readDataSet } = await import("@tessera/eval");
  const { baselines } = await import("@tessera/eval/internal");
  const inputs = (await readDataSet(data)).questions.map(({ question }) => ({ query: question }));
  const documents = [...baselines(true), ...["rrr", "step-back"].map((name) => flows.get(name).flow.document)];
  const runs = documents.map((document) => [document, ...inputs]);
  return record(runs, ruledModel(read(join(data, "model.json"))), { data });
}

/** The text of each cassette by its path. `root` is the repository. */
export async function recordings(root) {
  const [{ flows }, { ruledModel }] = await Promise.all([import("@tessera/flows"), import("@tessera/testkit/models")]);
  const data = join(root, "packages/flows/samples/town");
  const database = join(root, "packages/flows/src/planrag/samples/towns.db");
  const files = new Map();
  for (const { name, question, script, cassette } of runnableSamples(root, flows)) {
    if (!script) continue;
    const input = read(join(root, question));
    const kept = "problem" in input ? withoutRequest : undefined;
    const model = ruledModel(read(join(root, script)));
    const runs = [[flows.get(name).flow.document, input]];
    files.set(join(root, cassette), await record(runs, model, { data, database }, kept));
  }
  files.set(join(data, "answers.cassette.jsonl"), await townAnswers(data, flows, ruledModel));
  const example = join(root, "docs/examples/recorded");
  const script = {
    rules: [
      {
        asked: "Write a short passage",
        says: "The function retries the call after a failure and doubles the wait before each attempt.",
      },
      { asked: "", says: "`retryWithBackoff` doubles the wait before each attempt [1]." },
    ],
  };
  const question = { query: "where are retries backed off?" };
  const text = await record([[flows.get("hyde").flow.document, question]], ruledModel(script), {
    source: join(example, "source"),
  });
  return files.set(join(example, "hyde.cassette.jsonl"), text);
}
