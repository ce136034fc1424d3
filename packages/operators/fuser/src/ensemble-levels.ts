import { ask, type Context, type Hit, type LanguageModel, type Message, type Passage } from "@tessera/core";
import { words } from "@tessera/text";
import { vote } from "./votes.js";

/** What is said together, how sure that is, and the places of the prompts that failed. */
interface Said {
  readonly said: string;
  readonly confidence: number;
  readonly failed: readonly number[];
}

/** What calls gave, `undefined` for those that failed. @throws what the first threw, where all failed; and on an abort. */
async function settled<T>(calls: readonly Promise<T>[], { signal }: Context): Promise<(T | undefined)[]> {
  const outcomes = await Promise.allSettled(calls);
  signal.throwIfAborted();
  const [first] = outcomes;
  if (first?.status === "rejected" && outcomes.every(({ status }) => status === "rejected")) throw first.reason;
  return outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : undefined));
}

/** One shared greedy decoding: p(next) = Σ_d λ_d · p(next | d, q, y<t) over the likeliest tokens that each prompt names; one that fails falls out. */
export async function decodeTogether(
  model: LanguageModel,
  prompts: Message[][],
  weights: readonly number[],
  maxTokens: number,
  context: Context,
): Promise<Said> {
  let [said, logprob, length] = ["", 0, 0];
  let alive = [...prompts.keys()];
  for (; length < maxTokens; length++) {
    const parts = await settled(
      alive.map((place) =>
        ask(
          model,
          {
            messages: prompts[place]!,
            ...(said !== "" && { prefix: said }),
            maxTokens: 1,
            logprobs: true,
            alternatives: 20,
            temperature: 0,
          },
          context,
        ),
      ),
      context,
    );
    const heard = alive.flatMap((place, index) => (parts[index] ? [{ place, tokens: parts[index].tokens }] : []));
    alive = heard.map(({ place }) => place);
    const whole = alive.reduce((sum, place) => sum + weights[place]!, 0);
    const mixture = new Map<string, number>();
    for (const { place, tokens } of heard) {
      // a prompt that says nothing more votes for the end
      const named = tokens[0] ? (tokens[0].alternatives ?? [tokens[0]]) : [{ text: "", logprob: 0 }];
      for (const { text, logprob } of named)
        mixture.set(text, (mixture.get(text) ?? 0) + (weights[place]! / whole) * Math.exp(logprob));
    }
    const [next, chance] = [...mixture].reduce((best, other) => (other[1] > best[1] ? other : best));
    if (next === "") break;
    said += next;
    logprob += Math.log(chance);
  }
  const failed = [...prompts.keys()].filter((place) => !alive.includes(place));
  return { said: said.trim(), confidence: length === 0 ? 0 : Math.exp(logprob / length), failed };
}

/** An answer from each passage, weighted by λ_d · exp(mean log-probability), equal ones added up; one that fails has no vote. */
export async function electAnswer(
  model: LanguageModel,
  prompts: Message[][],
  weights: readonly number[],
  maxTokens: number,
  context: Context,
): Promise<Said> {
  const logprobs = model.capabilities.has("logprobs");
  const answers = await settled(
    prompts.map((messages) =>
      ask(model, { messages, maxTokens, temperature: 0, ...(logprobs && { logprobs }) }, context),
    ),
    context,
  );
  const votes = answers.flatMap((answer, place) => {
    if (!answer) return [];
    const mean = answer.tokens.reduce((sum, { logprob }) => sum + logprob, 0) / (answer.tokens.length || 1);
    return [{ text: answer.text, weight: weights[place]! * Math.exp(mean) }];
  });
  const { winner, share } = vote(
    votes.map(({ text }) => text),
    votes.map(({ weight }) => weight),
  );
  const failed = [...answers.keys()].filter((place) => !answers[place]);
  return { said: votes[winner]!.text.trim(), confidence: share, failed };
}

const spaced = (text: string): string => ` ${words(text).join(" ")} `;

/** The passage of the greatest weight that holds the words of what was said; none where nothing was. */
export function sourceOf(said: string, hits: readonly Hit[], weights: readonly number[]): Passage | undefined {
  const spoken = spaced(said);
  if (spoken.trim() === "") return undefined;
  const holding = [...hits.keys()].filter((place) => spaced(hits[place]!.passage.text).includes(spoken));
  const [best] = holding.sort((a, b) => weights[b]! - weights[a]!);
  return best === undefined ? undefined : hits[best]!.passage;
}
