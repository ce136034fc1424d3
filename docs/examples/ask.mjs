import { createTessera, extract, flow, sparse, updateCodebase } from "@tessera/tessera";

export const ask = flow("ask", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 20 }), { query });
  const { answer, text } = f.node("answer", extract(), { query, hits });
  return { answer, text };
});

const [query, root = "."] = process.argv.slice(2);
const { resources } = await updateCodebase({ root, folder: ".tessera/ask", encoder: "none" });
const tessera = createTessera({ flows: { ask }, resources });
const { output } = await tessera.run("ask", { query });
console.log(output.answer.text, output.answer.citations);
await tessera.close();
