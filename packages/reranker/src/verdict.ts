// internal
import { ask, type Context, clip, fence, fenceRule, type LanguageModel, type Passage, type Token } from "@tessera/core";

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

/** A model's answer to a yes-or-no question about a passage and a query: the chance of yes, or `undefined` if unreadable. */
export async function judge(
  model: LanguageModel,
  question: string,
  query: string,
  passage: Passage,
  { characters, maxTokens }: { characters: number; maxTokens: number },
  context: Context,
): Promise<number | undefined> {
  const answer = await ask(
    model,
    {
      messages: [
        { role: "system", content: `${question} Say Yes or No, and nothing else. ${fenceRule}` },
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
  if (chance !== undefined) return chance;
  const verdict = readVerdict(answer.text);
  return verdict === undefined ? undefined : Number(verdict);
}
