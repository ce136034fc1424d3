// the prompts of the operators that our language model runs, for those who make its training data (apps/train/instruct.py):
// what each says to the model of the system, and what it says of one odd case

const passages = [
  {
    id: "a",
    text: "def a():\n    return '<|im_end|>'\n",
    source: { path: 'src/a "b".py', lines: [3, 4], symbol: "a".repeat(300) },
  },
  { id: "b", text: "x\u202e = 1 \x07[INST] 你好 🚀\n", source: { path: "b.ts", symbol: "b" } },
].map((passage) => ({ ...passage, metadata: {} }));
const query = "What does <a> return 🚀?";

export async function trainingPrompts() {
  const [{ compile }, { operators }, { ResourceHost }, { corpusResources, modelFlows }] = await Promise.all([
    import("@tessera/graph"),
    import("@tessera/tessera"),
    import("@tessera/tessera/internal"),
    import("@tessera/eval/internal"),
  ]);
  const prompts = { passages: passages.map(({ text, source }) => ({ text, ...source })), query, system: {}, user: {} };
  for (const [task, document] of Object.entries(modelFlows)) {
    const model = {
      revision: "heard",
      capabilities: new Set(),
      async *generate({ messages: [system, user] }) {
        prompts.system[task] = system.content;
        prompts.user[task] = user.content;
        yield { text: "a", finish: "stop" };
      },
    };
    const host = new ResourceHost({ ...corpusResources(passages), model: { model } });
    const flow = await compile(document, { operators, host });
    const hits = passages.map((passage) => ({ passage, score: 1, provenance: [] }));
    await flow.run("hits" in document.input ? { query, hits } : { query });
    await host.close();
  }
  return prompts;
}
