// public: closer
import { type Clock, type Encoder, type Hit, hits, number, operator, rank, text } from "@tessera/core";
import { dot, embeddedText, systemClock } from "@tessera/core/internal";
import { languagesOf, words } from "@tessera/text";
import { z } from "zod";
import { scaled } from "./scaled.js";

/** Candidates that are encoded at once; between two batches the time is read. */
const batch = 8;

/**
 * Whether an encoder can judge. One that was trained on some languages compares noise where the question is in another one
 * and at least half of what was found is in that language too: there the earlier order, to which words belong, is better.
 */
function understands({ languages }: Encoder, query: string, found: readonly Hit[]): boolean {
  if (languages === undefined) return true;
  const asked = languagesOf(words(query));
  if (asked.length === 0 || asked.some((language) => languages.includes(language))) return true;
  const alike = found.filter(({ passage }) => languagesOf(words(passage.text)).some((one) => asked.includes(one)));
  return alike.length < found.length / 2;
}

/**
 * Looks closer at the first candidates: where the encoder has an embedding that is too dear for a whole index
 * (`Encoder.closer`), they are encoded by it and ordered anew by score(d) = (1 − kept) · near(d) + kept · before(d), both
 * scaled from the least of the candidates to the best; `kept` is the encoder's unless it is given. It begins with the best
 * and ends after `budget` milliseconds at the latest with the batch under way, or after `depth` of them; what was not
 * looked at follows in its own order. What the budget left out is encoded behind the answer where the encoder remembers
 * vectors, so that the next query finds it. With an encoder that has no such embedding, or that was not trained on the
 * language of question and passages (`Encoder.languages`), the candidates pass as they are.
 * `similarities` holds the cosine of each passage that was looked at, by id: unlike a score it can be compared between
 * questions, so that `generator.extract` can tell by it whether anything answers.
 */
export const closer = closerBy(systemClock);

/** The same by another clock, for tests. */
export function closerBy(clock: Clock) {
  return operator({
    name: "reranker.closer",
    version: 3,
    about: {
      module: "post-retrieval",
      submodule: "rerank",
      paper: "Modular RAG, operator 22; ModularStarEncoder (arXiv 2503.03008)",
      summary: "Looks at the first hits again by the encoder's deepest exit, within a budget of time.",
    },
    config: z.strictObject({
      encoder: z.string().min(1),
      depth: z.int().positive().default(50),
      /** Milliseconds. */
      budget: z.number().positive().default(300),
      kept: z.number().min(0).max(1).optional(),
      top: z.int().positive().optional(),
    }),
    ports: { input: { query: text, hits }, output: { hits, similarities: z.record(z.string(), number) } },
    setup: async ({ encoder: name, depth, budget, kept, top }, host) => {
      const encoder = await host.resource<Encoder>("encoder", name);
      const look = encoder.closer;
      const asTheyAre = (found: readonly Hit[]) => ({ hits: found.slice(0, top), similarities: {} });
      if (look === undefined) return ({ hits: found }) => asTheyAre(found);
      const { kept: advised, ...embedding } = look;
      return async ({ query, hits: found }, { signal }) => {
        const candidates = found.slice(0, depth);
        if (candidates.length === 0 || !understands(encoder, query, candidates)) return asTheyAre(found);
        const ends = clock.now() + budget;
        const asked = (await encoder.encode([query], { ...embedding, kind: "query" }, signal))[0]!;
        const near: number[] = [];
        const encode = (some: readonly Hit[], until?: AbortSignal): Promise<Float32Array[]> =>
          encoder.encode(
            some.map(({ passage }) => embeddedText(passage)),
            { ...embedding, kind: "text" },
            until,
          );
        while (near.length < candidates.length && (near.length === 0 || clock.now() < ends)) {
          const vectors = await encode(candidates.slice(near.length, near.length + batch), signal);
          for (const vector of vectors) near.push(dot(asked, vector));
        }
        const left = candidates.slice(near.length);
        // nobody waits for these; a failure shows where the vectors are asked for
        if (left.length > 0) encode(left).catch(() => {});
        const looked = candidates.slice(0, near.length);
        const before = scaled(looked.map(({ score }) => score));
        const now = scaled(near);
        const share = kept ?? advised;
        const scored = looked.map((hit, i) => ({ hit, score: (1 - share) * now[i]! + share * before[i]! }));
        // a score is at least 0; what was not looked at comes close after it, in its order
        const rest = found.slice(near.length);
        const behind = rest.map((hit, index) => ({ hit, score: (-0.1 * (index + 1)) / rest.length }));
        return {
          hits: rank("reranker.closer", [...scored, ...behind], top),
          similarities: Object.fromEntries(looked.map(({ passage }, i) => [passage.id, near[i]!])),
        };
      };
    },
  });
}
