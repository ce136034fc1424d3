import { ask, type Context, fenceRule, type Host, type LanguageModel, openPrompt } from "@tessera/core";
import type { PromptText } from "@tessera/core/internal";

/** The settings that `asking` adds to a config. */
interface Asking {
  readonly model: string;
  readonly maxTokens: number;
}

/** The model of an operator and its prompt, opened once, as a function that gives the model's answer to quoted texts. */
export async function examiner(asked: PromptText, { model: name, maxTokens }: Asking, host: Host) {
  const model = await host.resource<LanguageModel>("model", name);
  const system = `${(await openPrompt(host, asked))()} ${fenceRule}`;
  return async (quoted: string, context: Context): Promise<string> => {
    const messages = [
      { role: "system", content: system },
      { role: "user", content: quoted },
    ] as const;
    return (await ask(model, { messages, maxTokens, temperature: 0 }, context)).text;
  };
}
