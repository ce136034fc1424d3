// the cassette of docs/examples/recorded: what the flow "hyde" asks about the two files there, answered by a script
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const recordedQuestion = "where are retries backed off?";

/** A model that gives the same two texts whatever the sources say; its revision says so in the cassette. */
const scripted = {
  revision: "scripted: its two answers are written by hand, no model made them",
  capabilities: new Set(),
  async *generate({ messages }) {
    const imagines = messages.some(({ content }) => content.startsWith("Write a short passage"));
    const text = imagines
      ? "The function retries the call after a failure and doubles the wait before each attempt."
      : "`retryWithBackoff` doubles the wait before each attempt [1].";
    yield { text, finish: "stop", usage: { prompt: 0, completion: 0 } };
  },
};

/** Runs the flow as `tessera run` does, and gives the text of the cassette that this records. */
export async function recordedExample(source) {
  const [{ flows }, { compile }, { openCassette }, { operators, ResourceHost, updateCodebase }] = await Promise.all([
    import("@tessera/flows"),
    import("@tessera/graph"),
    import("@tessera/models"),
    import("@tessera/tessera"),
  ]);
  const folder = await mkdtemp(join(tmpdir(), "tessera-recorded-"));
  try {
    const cassette = join(folder, "hyde.cassette.jsonl");
    const opened = await updateCodebase({ root: source, folder: join(folder, "index"), encoder: "hash" });
    const model = await openCassette(cassette, { model: scripted });
    const host = new ResourceHost({ ...opened.resources, model: { model } });
    const flow = await compile(flows.get("hyde").flow.document, { operators, host });
    await flow.run({ query: recordedQuestion });
    await host.close();
    await opened.close();
    return await readFile(cassette, "utf8");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
