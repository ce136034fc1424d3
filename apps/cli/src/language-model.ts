import type { LanguageModel } from "@tessera/core";
import { openAiModel, openCassette } from "@tessera/models";
import type { Command } from "commander";
import { UsageError } from "./terminal.js";

/** The model "model": recorded answers, a service that answers (and is recorded where there is a file), or none. */
export interface LanguageModelOptions {
  readonly cassette?: string;
  readonly endpoint?: string;
  readonly model?: string;
}

/** Adds the options that say which language model flows name "model". */
export const languageModelOptions = (command: Command, { several = false } = {}): Command =>
  command
    .option("--endpoint <address>", 'an OpenAI-compatible service as the model "model" (key: $OPENAI_API_KEY)')
    .option(
      several ? "--model <names>" : "--model <name>",
      `which of the service's models${several ? ", separated by commas" : ""}`,
    )
    .option("--cassette <file>", "answers recorded before; with --endpoint, records");

/**
 * Opens the language model that flows name "model", where one was asked for.
 * @throws UsageError where only one of `endpoint` and `model` is given; TesseraError as `openCassette` does.
 */
export async function openLanguageModel({
  cassette,
  endpoint,
  model,
}: LanguageModelOptions): Promise<LanguageModel | undefined> {
  if ((endpoint === undefined) !== (model === undefined)) throw new UsageError("--endpoint and --model go together");
  const service =
    endpoint === undefined || model === undefined
      ? undefined
      : openAiModel({ baseUrl: endpoint, model, apiKey: () => process.env.OPENAI_API_KEY ?? "" });
  return cassette === undefined ? service : openCassette(cassette, { model: service });
}
