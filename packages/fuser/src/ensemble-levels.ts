// internal
import { ask, type Context, type LanguageModel, type Message } from "@tessera/core";
import { vote } from "./votes.js";

/** One shared greedy decoding: p(next) = Σ_d λ_d · p(next | d, q, y<t) over the likeliest tokens that each prompt names. */
export async function decodeTogether(
  model: LanguageModel,
  prompts: Message[][],
  weights: readonly number[],
  maxTokens: number,
  context: Context,
) {
  let [said, logprob, length] = ["", 0, 0];
  for (; length < maxTokens; length++) {
    const parts = await Promise.all(
      prompts.map((messages) =>
        ask(
          model,
          {
            messages,
            ...(said !== "" && { prefix: said }),
            maxTokens: 1,
            logprobs: true,
            alternatives: 20,
            temperature: 0,
          },
          context,
        ),
      ),
    );
    const mixture = new Map<string, number>();
    for (const [index, { tokens }] of parts.entries()) {
      // a prompt that says nothing more votes for the end
      const named = tokens[0] ? (tokens[0].alternatives ?? [tokens[0]]) : [{ text: "", logprob: 0 }];
      for (const { text, logprob } of named)
        mixture.set(text, (mixture.get(text) ?? 0) + weights[index]! * Math.exp(logprob));
    }
    const [next, chance] = [...mixture].reduce((best, other) => (other[1] > best[1] ? other : best));
    if (next === "") break;
    said += next;
    logprob += Math.log(chance);
  }
  return { said: said.trim(), confidence: length === 0 ? 0 : Math.exp(logprob / length) };
}

/** An answer from each passage, weighted by λ_d · exp(mean log-probability), equal ones added up. */
export async function electAnswer(
  model: LanguageModel,
  prompts: Message[][],
  weights: readonly number[],
  maxTokens: number,
  context: Context,
) {
  const logprobs = model.capabilities.has("logprobs");
  const answers = await Promise.all(
    prompts.map((messages) =>
      ask(model, { messages, maxTokens, temperature: 0, ...(logprobs && { logprobs }) }, context),
    ),
  );
  const weighted = answers.map(({ tokens }, index) => {
    const mean = tokens.reduce((sum, { logprob }) => sum + logprob, 0) / (tokens.length || 1);
    return weights[index]! * Math.exp(mean);
  });
  const { winner, share } = vote(
    answers.map((answer) => answer.text),
    weighted,
  );
  return { said: answers[winner]!.text.trim(), confidence: share };
}
