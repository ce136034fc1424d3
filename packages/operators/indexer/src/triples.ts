// public: triples
import {
  ask,
  boundOf,
  declarePrompt,
  fence,
  fenceRule,
  type LanguageModel,
  openPrompt,
  operator,
  passage,
} from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { type Triple, triplesKey, triplesOf } from "./knowledge-graph.js";

/** The lines `subject | relation | object` of an answer; others are no triples. */
function triplesIn(answer: string): Triple[] {
  return answer.split(/\r?\n/).flatMap((line) => {
    const parts = line
      .replace(/^\s*(?:[-*•]|\d{1,3}[.)])\s+/, "")
      .split("|")
      .map((part) => part.trim());
    const [subject, relation, object] = parts;
    const whole = parts.length === 3 && parts.every((part) => /[\p{L}\p{N}]/u.test(part) && part.length <= 300);
    return whole ? [{ subject: subject!, relation: relation!, object: object! }] : [];
  });
}

const asked = declarePrompt({
  name: "indexer.triples",
  version: "1",
  text: 'List the facts that the passage states, at most {count}, each on a line as: subject | relation | object. Subject and object are names or short noun phrases, written out where the passage says "it" or "he"; state nothing that the passage does not. Nothing else.',
});

/**
 * Extracts the facts that a passage states, by a language model, into `metadata.triples`, where `KnowledgeGraph` reads
 * them; triples that are given stay, and those found come after them. Run it with `each` over the passages.
 */
export const triples = operator({
  name: "indexer.triples",
  version: 2,
  about: {
    module: "indexing",
    submodule: "structure organisation",
    paper: "Modular RAG, operator 5",
    summary: "Extracts the facts of a passage for a knowledge graph.",
  },
  config: z.strictObject({ ...asking, count: z.int().min(1).max(100).default(20) }),
  ports: { input: { passage }, output: { passage } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 1),
  async setup({ model: name, maxTokens, characters, count }, host) {
    const instructions = await openPrompt(host, asked);
    const model = await host.resource<LanguageModel>("model", name);
    return async ({ passage: read }, context) => {
      const { text } = await ask(
        model,
        {
          messages: [
            {
              role: "system",
              content: `${instructions({ count })} ${fenceRule}`,
            },
            { role: "user", content: fence([{ ...read, text: clip(read.text, characters) }]) },
          ],
          maxTokens,
          temperature: 0,
        },
        context,
      );
      const given = triplesOf(read);
      const all = new Map([...given, ...triplesIn(text).slice(0, count)].map((fact) => [JSON.stringify(fact), fact]));
      return {
        passage: {
          ...read,
          metadata: { ...read.metadata, [triplesKey]: [...all.values()].map((fact) => ({ ...fact })) },
        },
      };
    };
  },
});
