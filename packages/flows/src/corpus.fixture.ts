import type { GenerateRequest, Host, Passage, Resource } from "@tessera/core";
import { Bm25Store, ExactStore } from "@tessera/retriever";
import { hostOf, type ScriptedModel, scriptedEncoder, scriptedModel } from "@tessera/testkit";

const texts: Readonly<Record<string, string>> = {
  harbour: "The harbour of Velden was built by Ada Brandt in 1871.",
  brandt: "Ada Brandt, an engineer, was born in Kolm.",
  kolm: "Kolm is a town on the river Isna.",
  isna: "The river Isna flows into the northern sea.",
  lighthouse: "The lighthouse has a red lantern.",
  clocks: "A museum shows old clocks and maps.",
  bakery: "Fresh rye bread comes from a bakery near the mill.",
  tides: "Spring tides rise four metres above the granite quay and flood the lower market streets.",
};

/** A town that does not exist, in eight passages; who reads on from one finds the next. */
export const corpus: readonly Passage[] = Object.entries(texts).map(([id, text]) => ({ id, text, metadata: {} }));

/** What a scripted model says to a prompt that holds all the texts in `asked`; the first rule that fits counts. */
export interface Rule {
  readonly asked: string | readonly string[];
  readonly says: string;
}

const promptOf = ({ messages, prefix = "" }: GenerateRequest): string =>
  [...messages.map(({ content }) => content), prefix].join("\n");

/** A model that answers by rules. It is no model: what it says was written by hand for a test. */
export const modelOf = (rules: readonly Rule[], options?: Parameters<typeof scriptedModel>[1]): ScriptedModel =>
  scriptedModel((request) => {
    const prompt = promptOf(request);
    const rule = rules.find(({ asked }) => [asked].flat().every((text) => prompt.includes(text)));
    if (!rule) throw new Error(`no rule for the prompt:\n${prompt}`);
    return rule.says;
  }, options);

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
