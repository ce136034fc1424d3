// node waiting-conversation.mjs <thread> "<question>" <folder> <base URL> <model>: one turn of a conversation, which goes on
// with the next call
import {
  createTessera,
  diskRecords,
  flow,
  generator,
  openAiModel,
  query,
  sparse,
  updateCodebase,
} from "@tessera/tessera";

const model = "model";
const talk = flow("talk", { query: "text", history: { optional: "text" } }, (f, input) => {
  // what was said before is summarised when it has become long, and the question is made whole by it
  const { history, summary } = f.node("short", query.condense({ model }), { history: input.history });
  const whole = f.node("whole", query.standalone({ model }), { query: input.query, history });
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 20 }), { query: whole.query });
  const { text } = f.node("answer", generator.answer({ model }), { query: whole.query, hits });
  return { text, summary };
});

const [thread, asked, root = ".", baseUrl = "http://127.0.0.1:11434/v1", name = "llama3.2"] = process.argv.slice(2);
const { resources } = await updateCodebase({ root, folder: ".tessera/ask", encoder: "none" });
const tessera = createTessera({
  flows: { talk },
  resources: { ...resources, model: { model: () => openAiModel({ baseUrl, model: name }) } },
  records: diskRecords(".tessera/records"),
});
const { output } = await tessera.run("talk", { query: asked }, { thread });
console.log(output.text);
const { turns } = await tessera.threads.read(thread);
console.log(`${turns.length} turns; the first was: ${turns[0].user}`);
await tessera.close();
