import { type Capability, type FlowDocument, type LanguageModel, TesseraError } from "@tessera/core";
import {
  defaultLanguageModel,
  type EngineKind,
  findModel,
  ollamaModel,
  openAiModel,
  openCassette,
  openLlamaCppModel,
  openLocalLanguageModel,
  responsesModel,
} from "@tessera/models";
import { libraryOf } from "@tessera/models/internal";
import type { EndpointSettings, LlamaCppModelSettings, ModelSettings } from "@tessera/tessera";
import { type Command, InvalidArgumentError, Option } from "commander";
import { clientOf, isEndpoint } from "./endpoints.js";
import { openEngine, openOnEngine } from "./engine.js";
import { type Settings, settingsFor } from "./settings.js";
import { type Terminal, UsageError } from "./terminal.js";

/** The model "model": recorded answers, one that answers (and is recorded where there is a file), or none. */
export interface LanguageModelOptions {
  readonly cassette?: string;
  readonly endpoint?: string;
  /** Of the service at `endpoint`; without one, a language model of ours. */
  readonly model?: string;
  /** What the service can do, over what the config says. */
  readonly capabilities?: readonly Named[];
  /** What computes a language model of ours. */
  readonly engine?: EngineKind;
}

const known = ["json", "logprobs", "prefix", "seed"] as const;
type Named = (typeof known)[number];

function readCapabilities(given: string): Named[] {
  const names = given.split(",").map((name) => name.trim());
  const wrong = names.find((name) => !(known as readonly string[]).includes(name));
  if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is none of ${known.join(", ")}.`);
  return names as Named[];
}

/** Adds the options that say which language model flows name "model". */
export const languageModelOptions = (command: Command, { several = false } = {}): Command =>
  command
    .option("--endpoint <address>", 'an OpenAI-compatible service as the model "model" (key: $OPENAI_API_KEY or .env)')
    .option(
      several ? "--model <names or files>" : "--model <name>",
      several
        ? `of the service; or language models of ours ("${defaultLanguageModel}") and cassettes, separated by commas`
        : `of the service; without one, a language model of ours ("${defaultLanguageModel}")`,
    )
    .addOption(
      new Option(
        "--capabilities <names>",
        "what the service can do: json, logprobs, prefix, seed; with commas",
      ).argParser(readCapabilities),
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

/**
 * A language model of this machine by its name, folder or file, on the engine that was asked for.
 * @throws TesseraError UNKNOWN_RESOURCE; else as `openEngine`, `openLocalLanguageModel` and `openLlamaCppModel`
 */
export async function openOwn(
  terminal: Terminal,
  name: string,
  engine: EngineKind | undefined,
): Promise<LanguageModel> {
  const { library, place } = libraryOf(name);
  if (library === "llama.cpp") return openLlamaCpp(terminal, { file: place, engine: library });
  if (library !== undefined)
    throw new TesseraError("MISSING_CAPABILITY", `${library} opens encoders and rerankers here, no language models`, {
      path: name,
      hint: "name the folder alone, or a GGUF file as llama.cpp:<file>",
    });
  const folder = await findModel(name);
  return openOnEngine(await openEngine(terminal, engine), (engine) => openLocalLanguageModel(folder, engine));
}

async function openLlamaCpp(
  terminal: Terminal,
  { file, engine, ...settings }: LlamaCppModelSettings,
): Promise<LanguageModel> {
  const model = await openLlamaCppModel({ file: await findModel(file), ...settings });
  terminal.note(`engine ${engine}: ${model.name}, ${model.threads === 1 ? "1 thread" : `${model.threads} threads`}`);
  return model;
}

const isLlamaCpp = (given: ModelSettings): given is LlamaCppModelSettings =>
  typeof given === "object" && "file" in given;

/** Opens what answers at an address, and says where texts go unless it is this machine. */
function openEndpoint(terminal: Terminal, given: EndpointSettings, settings: Settings): LanguageModel {
  const { form = "chat", capabilities, ...options } = clientOf(terminal, given, settings, "questions and passages");
  const able = <C extends Capability>(...known: readonly C[]) => {
    const other = capabilities?.find((one) => !(known as readonly string[]).includes(one));
    if (other !== undefined)
      throw new TesseraError("BAD_SETTINGS", `the form "${form}" has no "${other}"`, { path: "model.capabilities" });
    return capabilities && { capabilities: capabilities as readonly Capability[] as readonly C[] };
  };
  if (form === "responses") return responsesModel({ ...options, ...able("json", "logprobs") });
  if (form === "ollama") return ollamaModel({ ...options, ...able("json", "logprobs", "seed") });
  return openAiModel({ ...options, ...able("json", "logprobs", "prefix", "seed") });
}

/** The settings of the model "model": what the options of a command say, over what the config says. */
async function chosenModel(options: LanguageModelOptions, settings: Settings): Promise<ModelSettings | undefined> {
  const chosen = await namedModel(options, settings);
  const { capabilities } = options;
  if (capabilities === undefined) return chosen;
  if (chosen === undefined || !isEndpoint(chosen)) throw new UsageError("--capabilities are those of an --endpoint");
  return { ...chosen, capabilities };
}

async function namedModel(
  { endpoint, model: name }: LanguageModelOptions,
  { config }: Settings,
): Promise<ModelSettings | undefined> {
  if (endpoint !== undefined) {
    const model = name ?? (isEndpoint(config.model) ? config.model.model : undefined);
    if (model === undefined) throw new UsageError("--endpoint needs --model");
    return { ...(isEndpoint(config.model) && config.model), endpoint, model };
  }
  if (name === undefined) return config.model;
  if (!isEndpoint(config.model)) return name;
  // a name that is no model here is one of the endpoint of the config
  const isHere = await findModel(name).then(
    () => true,
    () => false,
  );
  return isHere ? name : { ...config.model, model: name };
}

/**
 * Opens a model as a config names it. `engine` computes a local one.
 * @throws TesseraError as `openEngine` and `openLocalLanguageModel` do, BAD_ARGUMENT
 */
async function openModel(
  terminal: Terminal,
  given: ModelSettings,
  engine: EngineKind | undefined,
): Promise<LanguageModel> {
  if (typeof given === "string") return openOwn(terminal, given, engine);
  if (typeof given === "function") return given();
  if (isLlamaCpp(given)) return openLlamaCpp(terminal, given);
  return isEndpoint(given) ? openEndpoint(terminal, given, await settingsFor(terminal)) : given;
}

/**
 * Opens the language model that flows name "model", where the options or the config say which.
 * @throws UsageError where there is an `endpoint` and no `model`; TesseraError as `openCassette`, `openEngine` and
 * `openLocalLanguageModel` do.
 */
export async function openLanguageModel(
  terminal: Terminal,
  options: LanguageModelOptions,
): Promise<LanguageModel | undefined> {
  const { cassette, engine } = options;
  const settings = await settingsFor(terminal);
  const replays = cassette !== undefined && options.model === undefined && options.endpoint === undefined;
  const chosen = replays ? undefined : await chosenModel(options, settings);
  const model = chosen === undefined ? undefined : await openModel(terminal, chosen, engine);
  const opened = cassette === undefined ? model : await openCassette(cassette, { model });
  if (opened?.scripted) terminal.note("The answers of this cassette are scripted: no model gave them.");
  return opened;
}

/** The further models of the config, which are opened when a flow asks for one. */
export async function furtherModels(
  terminal: Terminal,
  engine: EngineKind | undefined,
): Promise<Readonly<Record<string, () => Promise<LanguageModel>>>> {
  const { config } = await settingsFor(terminal);
  return Object.fromEntries(
    Object.entries(config.models ?? {}).map(([name, given]) => [name, () => openModel(terminal, given, engine)]),
  );
}
