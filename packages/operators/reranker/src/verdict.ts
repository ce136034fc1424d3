import { ask, type Context, fence, fenceRule, type LanguageModel, type Passage, type Token } from "@tessera/core";
import { clip } from "@tessera/core/internal";

/** P(yes) from the likeliest first tokens, as p(yes) / (p(yes) + p(no)); `undefined` where they name neither. */
function chanceOf(token: Token | undefined): number | undefined {
  let [yes, no] = [0, 0];
  for (const { text, logprob } of token?.alternatives ?? (token ? [token] : [])) {
    const said = text.trim().toLowerCase();
    if (said === "yes") yes += Math.exp(logprob);
    if (said === "no") no += Math.exp(logprob);
  }
  return yes + no > 0 ? yes / (yes + no) : undefined;
}

/** "yes" or "no" at the beginning of an answer, or the only one of them in it. */
function readVerdict(text: string): boolean | undefined {
  const said = [...text.toLowerCase().matchAll(/\b(yes|no)\b/g)].map(([, word]) => word === "yes");
  const first = /^[^\p{L}]*(yes|no)\b/iu.exec(text)?.[1];
  if (first) return first.toLowerCase() === "yes";
  return new Set(said).size === 1 ? said[0] : undefined;
}

/** How a verdict was read: from the likeliest first tokens, from the text, or not at all. */
export const readings = ["probability", "text", "default"] as const;

/** The chance of yes, `undefined` where no verdict can be read, and how it was read. */
export interface Verdict {
  readonly chance: number | undefined;
  readonly by: (typeof readings)[number];
}

/** A model's answer to a yes-or-no question, which `instructions` ask, about a passage and a query. Without log-probabilities its text counts. */
export async function verdictOn(
  model: LanguageModel,
  instructions: string,
  query: string,
  passage: Passage,
  { characters, maxTokens }: { characters: number; maxTokens: number },
  context: Context,
): Promise<Verdict> {
  const answer = await ask(
    model,
    {
      messages: [
        { role: "system", content: `${instructions} ${fenceRule}` },
        {
          role: "user",
          content: `${fence([{ ...passage, text: clip(passage.text, characters) }])}\n${fence([{ text: clip(query, characters) }], { tag: "question" })}`,
        },
      ],
      maxTokens,
      temperature: 0,
      ...(model.capabilities.has("logprobs") && { logprobs: true, alternatives: 20 }),
    },
    context,
  );
  const chance = chanceOf(answer.tokens[0]);
  if (chance !== undefined) return { chance, by: "probability" };
  const verdict = readVerdict(answer.text);
  return verdict === undefined ? { chance: undefined, by: "default" } : { chance: Number(verdict), by: "text" };
}
