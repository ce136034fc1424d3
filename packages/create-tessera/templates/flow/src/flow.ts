import {
  Bm25Store,
  createTessera,
  extract,
  flow,
  type Hit,
  hits,
  operator,
  type Passage,
  sparse,
} from "@tessera/tessera";
import { z } from "zod";

/** An operator of your own: it keeps the hits whose passages have a label. */
export const withLabel = operator({
  name: "app.with-label",
  version: 1,
  about: { module: "post-retrieval", submodule: "selection", summary: "Keeps hits that have a label." },
  config: z.strictObject({ label: z.string() }),
  ports: { input: { hits }, output: { hits } },
  effects: "none",
  setup:
    ({ label }) =>
    (input) => ({ hits: input.hits.filter(({ passage }: Hit) => passage.metadata.label === label) }),
});

/** A flow with it: search, keep, answer. */
export const ask = flow("ask", { query: "text" }, (f, { query }) => {
  const { hits: found } = f.node("find", sparse({ store: "notes", top: 20 }), { query });
  const { hits: kept } = f.node("keep", withLabel({ label: "public" }), { hits: found });
  const { text } = f.node("answer", extract(), { query, hits: kept });
  return { text };
});

/** Runs the flow over some passages. */
export async function answer(passages: readonly Passage[], query: string): Promise<string> {
  const notes = new Bm25Store();
  await notes.upsert(passages);
  const tessera = createTessera({ flows: { ask }, operators: [withLabel], resources: { store: { notes } } });
  const { output } = await tessera.run("ask", { query });
  await tessera.close();
  return output.text;
}
