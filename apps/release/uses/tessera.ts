import { createTessera, extract, flow, sparse, updateCodebase } from "@tessera/tessera";

const ask = flow("ask", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("find", sparse({ store: "sparse", top: 20 }), { query });
  const { answer, text } = f.node("answer", extract(), { query, hits });
  return { answer, text };
});
const { resources } = await updateCodebase({ root: "docs", folder: ".tessera/docs", encoder: "none" });
const tessera = createTessera({ flows: { ask }, resources });
const { output } = await tessera.run("ask", { query: "where are flows checked?" });
console.log(output.text, output.answer.citations);
await tessera.close();
