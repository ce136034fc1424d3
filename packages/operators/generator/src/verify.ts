// public: verify
import { boundOf, declarePrompt, fence, operator } from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { CitationReader } from "./citations.js";
import { examiner } from "./examiner.js";
import { type Checked, evidenceFor, ports, summarise, verdicts } from "./verdict.js";

const asked = declarePrompt({
  name: "generator.verify",
  version: "1",
  text: `You check a claim against numbered passages, and use nothing else that you know.
Say SUPPORTED if the passages state it, REFUTED if they contradict it, INSUFFICIENT if they do neither. After that one word name the passages that decide, as in SUPPORTED [2].`,
});

const words = /\b(supported|refuted|insufficient|not supported|unsupported|contradicted)\b/gi;

/** The verdict that an answer begins with; one that cannot be read is "insufficient". */
function readVerdict(said: string): Checked["verdict"] {
  const found = [...said.matchAll(words)].map(([word]) => word.toLowerCase());
  const [first] = found;
  if (first === "contradicted") return "refuted";
  return verdicts.find((verdict) => verdict === first) ?? "insufficient";
}

/**
 * Knowledge-base verification, y^k = f_verify(q, D, y) (equation 17): each claim is checked by a language model against
 * the passages that cover it best, from `hits` or from its own place in `evidence`. A claim without evidence, or whose
 * verdict cannot be read, is "insufficient". One call a claim, all at once; claims beyond `claims` are not checked, and
 * count as "insufficient".
 */
export const verify = operator({
  name: "generator.verify",
  version: 3,
  about: {
    module: "generation",
    submodule: "verification",
    paper: "Modular RAG, operator 29, equation 17 and erratum E16",
    summary: "Checks claims against passages: supported, refuted or insufficient.",
  },
  config: z.strictObject({
    ...asking,
    maxTokens: asking.maxTokens.unwrap().default(32),
    /** The most claims that are checked. */
    claims: z.int().positive().default(10),
    /** The most passages that a claim is checked against. */
    passages: z.int().positive().default(3),
  }),
  ports,
  prompts: [asked],
  bound: (config) => boundOf(config, config.claims, 1 + config.passages),
  async setup(config, host) {
    const { characters, claims: most, passages: count } = config;
    const examine = await examiner(asked, config, host);
    return async ({ claims, hits = [], evidence }, context) => {
      const check = async (claim: string, index: number): Promise<Checked> => {
        const passages = evidenceFor(claim, evidence?.[index] ?? hits, count);
        if (passages.length === 0 || index >= most) return { claim, verdict: "insufficient", evidence: [], score: 0 };
        const shown = passages.map((passage) => ({ ...passage, text: clip(passage.text, characters) }));
        const content = `${fence(shown)}\n${fence([{ text: clip(claim, characters) }], { tag: "claim" })}`;
        const said = await examine(content, context);
        const verdict = readVerdict(said);
        const reader = new CitationReader(passages.length);
        reader.push(said);
        reader.end();
        const cited = [...reader.cited].sort((a, b) => a - b).map((marker) => passages[marker - 1]!.id);
        return {
          claim,
          verdict,
          evidence: verdict === "insufficient" ? [] : cited.length > 0 ? cited : passages.map(({ id }) => id),
          score: verdict === "supported" ? 1 : 0,
        };
      };
      return summarise(await Promise.all(claims.map(check)));
    };
  },
});
