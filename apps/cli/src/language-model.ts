import type { FlowDocument, LanguageModel } from "@tessera/core";
import {
  defaultLanguageModel,
  type EngineKind,
  findModel,
  openAiModel,
  openCassette,
  openLocalLanguageModel,
} from "@tessera/models";
import type { Command } from "commander";
import { openEngine, openOnEngine } from "./engine.js";
import { type Terminal, UsageError } from "./terminal.js";

/** The model "model": recorded answers, one that answers (and is recorded where there is a file), or none. */
export interface LanguageModelOptions {
  readonly cassette?: string;
  readonly endpoint?: string;
  /** Of the service at `endpoint`; without one, a language model of ours. */
  readonly model?: string;
  /** What computes a language model of ours. */
  readonly engine?: EngineKind;
}

/** Adds the options that say which language model flows name "model". */
export const languageModelOptions = (command: Command, { several = false } = {}): Command =>
  command
    .option("--endpoint <address>", 'an OpenAI-compatible service as the model "model" (key: $OPENAI_API_KEY)')
    .option(
      several ? "--model <names or files>" : "--model <name>",
      several
        ? `of the service; or language models of ours ("${defaultLanguageModel}") and cassettes, separated by commas`
        : `of the service; without one, a language model of ours ("${defaultLanguageModel}")`,
    )
    .option("--cassette <file>", "answers recorded before; with --model, records");

/** The language model of ours that writes programs. */
const programWriter = "list-coder";

/** What a flow's model is where nothing was said of it: for a flow that has programs written, the one of ours that writes some. */
export const defaultModelOf = ({ nodes }: FlowDocument): string | undefined =>
  Object.values(nodes).some(({ run }) =>
    typeof run === "string" ? run === "coder.sample" : defaultModelOf(run) !== undefined,
  )
    ? programWriter
    : undefined;

async function openOwn(terminal: Terminal, name: string, engine: EngineKind | undefined): Promise<LanguageModel> {
  const folder = await findModel(name);
  return openOnEngine(await openEngine(terminal, engine), (engine) => openLocalLanguageModel(folder, engine));
}

/**
 * Opens the language model that flows name "model", where one was asked for.
 * @throws UsageError where there is an `endpoint` and no `model`; TesseraError as `openCassette`, `openEngine` and
 * `openLocalLanguageModel` do.
 */
export async function openLanguageModel(
  terminal: Terminal,
  { cassette, endpoint, model: name, engine }: LanguageModelOptions,
): Promise<LanguageModel | undefined> {
  if (endpoint !== undefined && name === undefined) throw new UsageError("--endpoint needs --model");
  const apiKey = () => process.env.OPENAI_API_KEY ?? "";
  const open = async (): Promise<LanguageModel | undefined> => {
    if (name === undefined) return undefined;
    return endpoint === undefined
      ? openOwn(terminal, name, engine)
      : openAiModel({ baseUrl: endpoint, model: name, apiKey });
  };
  const model = await open();
  const opened = cassette === undefined ? model : await openCassette(cassette, { model });
  if (opened?.scripted) terminal.note("The answers of this cassette are scripted: no model gave them.");
  return opened;
}
