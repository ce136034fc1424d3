import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { createTessera, extract, flow, generator, openAiModel, sparse, updateCodebase } from "@tessera/tessera";

// with a model the answer is prose; without one it is quoted
const { MODEL, MODEL_ENDPOINT = "http://127.0.0.1:11434/v1", OPENAI_API_KEY: apiKey } = process.env;

const quoted = flow("answer", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("find", sparse({ store: "sparse", top: 20 }), { query });
  const { text } = f.node("answer", extract(), { query, hits });
  return { text };
});
const written = flow("answer", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("find", sparse({ store: "sparse", top: 20 }), { query });
  const { text } = f.node("answer", generator.answer({ model: "model" }), { query, hits });
  return { text };
});

/** A conversation about a folder: each line is a question, and its answer is written as it comes. */
export async function chat(root: string, input: Readable, output: Writable): Promise<void> {
  const { resources, close } = await updateCodebase({ root, folder: ".tessera/index", encoder: "none" });
  const model = () => openAiModel({ baseUrl: MODEL_ENDPOINT, model: MODEL ?? "", apiKey });
  const tessera = createTessera({
    flows: { answer: MODEL ? written : quoted },
    resources: { ...resources, model: { model } },
  });
  const lines = createInterface({ input });
  output.write("> ");
  for await (const query of lines) {
    if (query.trim() !== "") {
      const run = await tessera.stream("answer", { query });
      for await (const { port, delta } of run.output) if (port === "text") output.write(String(delta));
      await run.result;
    }
    output.write("\n> ");
  }
  await tessera.close();
  await close();
}

if (process.argv[1] === import.meta.filename) await chat(process.argv[2] ?? "docs", process.stdin, process.stdout);
