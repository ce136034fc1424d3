import { writeFile } from "node:fs/promises";
import { complete } from "@tessera/core/internal";
import { moduleSvg, moduleText } from "@tessera/eval/internal";
import { cpuEngine, defaultLanguageModel, type EngineKind, findModel } from "@tessera/models";
import {
  convertToEmergent,
  type DecoderInspection,
  type DecoderVerdict,
  mergeEmergent,
  openDecoderModel,
  pruneDecoder,
  readSamples,
  readTokenizer,
  tokenizerPath,
} from "@tessera/models/internal";
import { colors } from "../colors.js";
import { readSchemaFile } from "../documents.js";
import { openOwn } from "../language-model.js";
import { type Terminal, UsageError } from "../terminal.js";

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`;

/** Shows how far a count of modules is. */
export const counting =
  (terminal: Terminal) =>
  (done: number, total: number): void =>
    terminal.progress("counting", done, total);

export interface InspectOptions {
  /** Text whose modules are counted now. */
  readonly on?: string;
  /** Lines of it at most. */
  readonly most?: number;
  /** Where the picture goes. */
  readonly svg?: string;
  readonly signal?: AbortSignal;
}

/** What a language model is made of, and a picture of which modules serve which operator and language, in the file `svg`. */
export async function describe(terminal: Terminal, model: DecoderInspection, svg: string | undefined): Promise<number> {
  terminal.clear();
  terminal.result(model);
  const { total, active, embedding } = model.parameters;
  const modules = (kind: "attention" | "feedforward"): string =>
    [...new Set(model.modules[kind].map(({ count, top }) => `${top} of ${count}`))].join(", ");
  terminal.table(
    [model.name, ""],
    [
      ["architecture", model.architecture],
      ["layers × width, heads of a module", `${model.layers} × ${model.hidden}, ${model.heads}`],
      ["vocabulary, context", `${model.vocabulary}, ${model.context}`],
      ["parameters", `${millions(total)}, ${millions(active)} run for a token; embedding ${millions(embedding)}`],
      ["attention modules", modules("attention")],
      ["feedforward modules", modules("feedforward")],
      ["size", megabytes(model.size)],
    ],
  );
  const counted = Object.keys(model.frequencies).length > 0;
  if (counted)
    terminal.say(`\nHow often each module is chosen, darker the more often:\n\n${moduleText(model.frequencies)}`);
  if (svg !== undefined) {
    if (!counted) throw new UsageError("there is nothing to draw: name text to count on with --on");
    await writeFile(svg, moduleSvg(`${model.name}: modules by domain`, model.frequencies));
    terminal.note(`The picture is in ${svg}.`);
  }
  return 0;
}

/** How engines did on the golden cases of a language model. */
export function verdictTable(terminal: Terminal, verdicts: readonly DecoderVerdict[]): void {
  terminal.table(
    ["engine", "largest difference", "places", "near an edge", "other tokens", ""],
    verdicts.map(({ engine, passed, difference, places, near, otherTokens, missing }) => {
      const kind = `${engine.kind} ${engine.dtype}`;
      if (missing !== undefined) return [kind, "", "", "", "", colors.yellow(`missing: ${missing}`)];
      return [
        kind,
        difference.toExponential(1),
        places,
        near,
        otherTokens,
        passed ? colors.green("ok") : colors.red("differs"),
      ];
    }),
  );
}

export interface PruneOptions {
  readonly keep: number;
  readonly on: string;
  readonly most?: number;
  readonly output: string;
  readonly signal?: AbortSignal;
}

/** Writes a smaller bundle, without the modules that some text uses least. */
export async function prune(
  terminal: Terminal,
  name: string | undefined,
  { keep, on, most, output, signal }: PruneOptions,
): Promise<number> {
  const folder = await findModel(name ?? defaultLanguageModel);
  const model = await openDecoderModel(folder);
  const samples = await readSamples(on, model, await readTokenizer(tokenizerPath(folder)), most);
  // the CPU engine counts modules
  const engine = cpuEngine();
  const kept = await pruneDecoder(folder, output, { keep, samples, engine, progress: counting(terminal), signal });
  terminal.clear();
  terminal.result({ output, kept });
  const count = (layers: readonly (readonly number[])[]): string => layers.map(({ length }) => length).join(", ");
  terminal.say(
    `${output}: attention modules by layer ${count(kept.attention)}, feedforward ${count(kept.feedforward)}`,
  );
  return 0;
}

export interface EmergentOptions {
  readonly experts?: number;
  readonly top?: number;
  readonly layers?: string;
  readonly seed?: number;
  readonly merge?: boolean;
  readonly output: string;
}

/** Turns the feedforwards of a dense bundle into emergent experts, or back. */
export async function emergent(terminal: Terminal, name: string, options: EmergentOptions): Promise<number> {
  const { merge, output, layers, experts = 64, top = 16, seed } = options;
  const folder = await findModel(name);
  if (merge) {
    const other = (["experts", "top", "layers", "seed"] as const).find((option) => options[option] !== undefined);
    if (other) throw new UsageError(`--merge and --${other} exclude each other`);
    await mergeEmergent(folder, output);
  } else {
    if (layers === undefined) throw new UsageError("--layers is missing: which layers become experts, as in 2,3");
    const numbers = layers.split(",").map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
    if (numbers.some(Number.isNaN)) throw new UsageError(`--layers ${layers} is no list of layers, as in 2,3`);
    await convertToEmergent(folder, output, { layers: numbers, experts, top, seed });
  }
  terminal.result({ output });
  terminal.say(output);
  return 0;
}

export interface GenerateOptions {
  readonly engine?: EngineKind;
  readonly signal?: AbortSignal;
  readonly model?: string;
  readonly prompt: string;
  readonly seed?: number;
  readonly temperature?: number;
  readonly maxTokens: number;
  /** A file with the JSON Schema that the answer must meet. */
  readonly jsonSchema?: string;
}

/** Writes a language model's answer as it comes. */
export async function generate(
  terminal: Terminal,
  { model = defaultLanguageModel, prompt, engine: kind, signal, jsonSchema, ...sampling }: GenerateOptions,
): Promise<number> {
  const schema = jsonSchema === undefined ? undefined : await readSchemaFile(jsonSchema);
  const languageModel = await openOwn(terminal, model, kind);
  try {
    const request = { messages: [{ role: "user" as const, content: prompt }], ...sampling, schema };
    const answer = await complete(languageModel, request, signal, (text) => terminal.write(text));
    terminal.result({ model, revision: languageModel.revision, ...answer });
    terminal.say();
  } finally {
    await languageModel.close?.();
  }
  return 0;
}
