import {
  ask,
  type Context,
  fence,
  fenceRule,
  type Host,
  type LanguageModel,
  type Message,
  openPrompt,
} from "@tessera/core";
import { clip, type PromptText } from "@tessera/core/internal";

/** The settings that `asking` adds to a config. */
interface Asking {
  readonly model: string;
  readonly maxTokens: number;
  readonly characters: number;
}

/** What a model is told about a question. */
interface Question {
  readonly query: string;
  /** What stands in for the names in the text of the prompt. */
  readonly words?: Readonly<Record<string, string | number>>;
  /** Further texts that are quoted beside the question; empty ones are left out. */
  readonly others?: Readonly<Record<string, string | undefined>>;
  readonly temperature?: number;
}

/** A prompt about a question, which is quoted, and about further quoted texts, of which empty ones are left out. */
export const about = (
  instructions: string,
  query: string,
  characters: number,
  others: Readonly<Record<string, string | undefined>> = {},
): Message[] => [
  { role: "system", content: `${instructions} ${fenceRule}` },
  {
    role: "user",
    content: [...Object.entries({ question: query, ...others })]
      .flatMap(([tag, text]) => (!text ? [] : [fence([{ text: clip(text, characters) }], { tag })]))
      .join("\n"),
  },
];

/** The model of an operator and its prompt, opened once, as a function that asks about one question. */
export async function questioner(asked: PromptText, { model: name, maxTokens, characters }: Asking, host: Host) {
  const instructions = await openPrompt(host, asked);
  const model = await host.resource<LanguageModel>("model", name);
  return ({ query, words, others, temperature = 0 }: Question, context: Context) =>
    ask(model, { messages: about(instructions(words), query, characters, others), maxTokens, temperature }, context);
}
