import { createTessera, flow, generator, openAiModel, sparse, updateCodebase } from "@tessera/tessera";

const rag = flow("rag", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 20 }), { query });
  const { answer, text } = f.node("answer", generator.answer({ model: "model" }), { query, hits });
  return { answer, text };
});

const [query, root = ".", baseUrl = "http://127.0.0.1:11434/v1", name = "llama3.2"] = process.argv.slice(2);
const { resources } = await updateCodebase({ root, folder: ".tessera/ask" });
const { OPENAI_API_KEY: apiKey } = process.env;
const model = () => openAiModel({ baseUrl, model: name, apiKey });
const tessera = createTessera({ flows: { rag }, resources: { ...resources, model: { model } } });
const run = await tessera.stream("rag", { query });
for await (const { port, delta } of run.output) if (port === "text") process.stdout.write(delta);
const { output } = await run.result;
console.log();
for (const { marker, path, lines } of output.answer.citations) console.log(`[${marker}] ${path}:${lines?.join("-")}`);
await tessera.close();
