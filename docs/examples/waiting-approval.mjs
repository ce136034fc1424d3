// node waiting-approval.mjs ask "where are retries backed off?" first   drafts an answer, which waits
// node waiting-approval.mjs list                                         what waits, with its draft
// node waiting-approval.mjs answer first send "In other words."          sends it, or: answer first drop
import { createTessera, data, diskRecords, extract, flow, is, sparse, updateCodebase, value } from "@tessera/tessera";

/** An answer is drafted from the files of a folder. A person sends it, in other words if they like, or drops it. */
const answered = flow("answered", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 20 }), { query });
  const draft = f.node("draft", extract(), { query, hits });
  const form = { decision: { choice: ["send", "drop"] }, words: { optional: "text" } };
  const { decision, words } = f.node("approve", data.flowWait({ form }), { payload: draft.text });
  const text = { first: [words, draft.text] };
  const sent = f.node("send", data.textTemplate({ template: "{text}" }), { text }, { when: is(decision, "send") });
  return { sent: { first: [sent.text, value("Nothing was sent.")] } };
});

const [command, word, ...rest] = process.argv.slice(2);
const { resources } = await updateCodebase({ root: ".", folder: ".tessera/ask", encoder: "none" });
const records = diskRecords(".tessera/records");
const tessera = await createTessera({ flows: { answered }, resources, records }).start();
if (command === "ask") {
  const { waits } = await tessera.run("answered", { query: word }, { id: rest[0] });
  console.log(`${waits[0].run} waits: ${waits[0].payload}`);
} else if (command === "list") {
  for (const { run, payload } of await tessera.waiting()) console.log(`${run}: ${payload}`);
} else {
  const [decision, words] = rest;
  const { output } = await tessera.answer(word, "answered/approve", { decision, ...(words && { words }) });
  console.log(output.sent);
}
await tessera.close();
