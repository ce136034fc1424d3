// public: openTransformersReranker
import { type Reranker, TesseraError } from "@tessera/core";
import { pairOf, pairTemplate } from "../formats/pair-template.js";
import type { TransformersFolder } from "./settings.js";
import { openTransformers } from "./transformers-js.js";

/** Pairs that are computed together. */
const batch = 16;

/**
 * Opens a cross-encoder (a model with a head of one class, or of two of which the second is "relevant") with transformers.js
 * (@huggingface/transformers, which has to be installed). The score is the logit, or the difference of the two.
 * @throws TesseraError BAD_BUNDLE; BAD_ARGUMENT; DEPENDENCY_MISSING without @huggingface/transformers
 */
export async function openTransformersReranker(
  settings: TransformersFolder,
): Promise<Reranker & { readonly name: string; close(): Promise<void> }> {
  const { name, revision, checkpoint, tokenizer, positions, run, close } = await openTransformers(
    settings,
    ({ AutoModelForSequenceClassification }) => AutoModelForSequenceClassification,
  );
  const template = pairTemplate(await checkpoint.tokenizer());
  return {
    name,
    revision,
    async rank(query, texts, signal) {
      const asked = tokenizer.encode(query, positions);
      const scores: number[] = [];
      for (let from = 0; from < texts.length; from += batch) {
        signal?.throwIfAborted();
        const some = texts.slice(from, from + batch);
        const rows = some.map((text) => pairOf(template, asked, tokenizer.encode(text, positions), positions));
        const { logits } = await run(rows);
        const classes = logits?.dims[1];
        if (!logits || (classes !== 1 && classes !== 2))
          throw new TesseraError(
            "BAD_BUNDLE",
            `a reranker has a head of one class or two, this model ${classes ?? 0}`,
            {
              path: settings.folder,
            },
          );
        for (let at = 0; at < some.length; at++)
          scores.push(classes === 1 ? logits.data[at]! : logits.data[2 * at + 1]! - logits.data[2 * at]!);
      }
      return scores;
    },
    close,
  };
}
