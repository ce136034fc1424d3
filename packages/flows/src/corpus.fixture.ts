import { readFileSync } from "node:fs";
import type { Host, Passage, Resource } from "@tessera/core";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { hostOf, type ModelRule, ruledModel, type ScriptedModel, scriptedEncoder } from "@tessera/testkit";

/** A town that does not exist, in eight passages; who reads on from one finds the next. */
export const corpus: readonly Passage[] = readFileSync(new URL("../samples/town/corpus.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => ({ ...(JSON.parse(line) as { id: string; text: string }), metadata: {} }));

/** A model that answers by rules. It is no model: what it says was written by hand for a test. */
export const modelOf = (rules: readonly ModelRule[], options?: Parameters<typeof ruledModel>[1]): ScriptedModel =>
  ruledModel({ rules }, options);

// wide enough that no two words of the corpus share a place: a cosine is the share of common words
const encoder = scriptedEncoder(4096);

/** The resources that flows name, over the corpus: real stores, a scripted encoder, and a model. */
export async function hostOver(model: ScriptedModel, more: Readonly<Record<string, Resource>> = {}): Promise<Host> {
  const sparse = new Bm25Store();
  const dense = new ExactStore({ space: encoder.space({}), width: 4096 });
  await sparse.upsert(corpus);
  await dense.upsert(
    corpus,
    await encoder.encode(
      corpus.map(({ text }) => text),
      { kind: "text" },
    ),
  );
  return hostOf({
    "store/sparse": sparse,
    "store/dense": dense,
    "encoder/encoder": encoder,
    "model/model": model,
    ...more,
  });
}
