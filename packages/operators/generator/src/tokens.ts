import { type LanguageModel, TesseraError } from "@tessera/core";
import { z } from "zod";

/** A port for the tokens of an answer with their natural-log probabilities; absent where they were not asked for. */
export const tokens = z.array(z.object({ text: z.string(), logprob: z.number() })).optional();

/** @throws TesseraError MISSING_CAPABILITY where a config asks for log-probabilities that the model does not give. */
export function needLogprobs(
  { model, logprobs }: { model: string; logprobs: boolean },
  { capabilities }: LanguageModel,
): void {
  if (logprobs && !capabilities.has("logprobs"))
    throw new TesseraError("MISSING_CAPABILITY", `the model "${model}" gives no log-probabilities`, {
      path: model,
      hint: "leave `logprobs` out",
    });
}
