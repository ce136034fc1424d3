// an application in CommonJS: Node loads ES modules by require, and TypeScript knows it
import tessera = require("@tessera/tessera");

const { Bm25Store, createTessera, extract, flow, sparse } = tessera;

const ask = flow("ask", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("find", sparse({ store: "docs", top: 3 }), { query });
  const { text } = f.node("answer", extract(), { query, hits });
  return { text };
});

async function main(): Promise<void> {
  const docs = new Bm25Store();
  await docs.upsert([{ id: "a", text: "The ferry leaves at noon.", metadata: {} }]);
  const object = createTessera({ flows: { ask }, resources: { store: { docs } } });
  const { output } = await object.run("ask", { query: "when does the ferry leave?" });
  console.log(output.text);
  await object.close();
}

void main();
