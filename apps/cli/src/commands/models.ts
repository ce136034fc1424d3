import { type EngineKind, listModels, verifyModel } from "@tessera/models";
import { type EncodeFile, type EncoderVerdict, encodeFile, inspectModel, kindOfModel } from "@tessera/models/internal";
import { colors } from "../colors.js";
import { openEngine } from "../engine.js";
import { type Terminal, UsageError } from "../terminal.js";
import * as languageModels from "./language-models.js";

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`;

/** The models that can be named. */
export async function list(terminal: Terminal): Promise<number> {
  const models = await listModels();
  terminal.result(models);
  if (models.length === 0) terminal.say("No model is here. Add one: tessera models add");
  else
    terminal.table(
      ["model", "architecture", "size", "licence", "from"],
      models.map(({ name, architecture, size, licence = "", source = "Tessera" }) => [
        name,
        architecture,
        size === 0 ? "gone" : megabytes(size),
        licence,
        source,
      ]),
    );
  return 0;
}

/**
 * What a model is made of: layers, exits, sizes, and which queries may search which index; of a language model, which modules
 * serve what.
 */
export async function inspect(
  terminal: Terminal,
  name: string | undefined,
  options: languageModels.InspectOptions,
): Promise<number> {
  const { svg, ...counting } = options;
  if ((options.on !== undefined || svg !== undefined) && (await kindOfModel(name)) === "encoder")
    throw new UsageError("--on and --svg are for language models: an encoder has no modules");
  const model = await inspectModel(name, { ...counting, progress: languageModels.counting(terminal) });
  if (model.kind === "decoder") return languageModels.describe(terminal, model, svg);
  terminal.result(model);
  terminal.table(
    [model.name, ""],
    [
      ["architecture", model.architecture],
      ["layers × width, heads", `${model.layers} × ${model.hidden}, ${model.heads}`],
      ["vocabulary", model.vocabulary],
      ["parameters", millions(model.parameters.total + model.parameters.embedding)],
      ["size", megabytes(model.size)],
      ["widths", model.widths.join(", ")],
      ["default", `query at exit ${model.default.query}, index at exit ${model.default.index}`],
    ],
  );
  terminal.say();
  terminal.table(
    ["exit", "parameters until there"],
    model.exits.map(({ layer, parameters }) => [layer, millions(parameters)]),
  );
  return 0;
}

/** Compares every engine of this machine with the model's golden cases; exit code 1 where one differs. */
export async function verify(terminal: Terminal, name: string | undefined): Promise<number> {
  const verdicts = await verifyModel(name);
  terminal.result(verdicts);
  const encoders = verdicts.filter((verdict) => verdict.kind === "encoder");
  if (encoders.length > 0) encoderTable(terminal, encoders);
  else
    languageModels.verdictTable(
      terminal,
      verdicts.filter((verdict) => verdict.kind === "decoder"),
    );
  return verdicts.every(({ passed }) => passed) ? 0 : 1;
}

function encoderTable(terminal: Terminal, verdicts: readonly EncoderVerdict[]): void {
  const state = ({ passed, missing }: (typeof verdicts)[number]): string => {
    if (missing !== undefined) return colors.yellow(`missing: ${missing}`);
    return passed ? colors.green("ok") : colors.red("differs");
  };
  terminal.table(
    ["engine", "", "exit", "largest difference", "least cosine"],
    verdicts.flatMap((verdict) => {
      const engine = `${verdict.engine.kind} ${verdict.engine.dtype}`;
      if (verdict.exits.length === 0) return [[engine, state(verdict), "", "", ""]];
      return verdict.exits.map(({ layer, difference, cosine }, row) => [
        row === 0 ? engine : "",
        row === 0 ? state(verdict) : "",
        layer,
        difference.toExponential(1),
        cosine.toFixed(6),
      ]);
    }),
  );
}

/** Encodes a file of `{"text"}` lines into row-major little-endian float32. */
export async function encode(
  terminal: Terminal,
  { engine: kind, ...request }: Omit<EncodeFile, "engine"> & { readonly engine?: EngineKind },
): Promise<number> {
  const { engine, close } = await openEngine(terminal, kind);
  const { texts, width, space } = await encodeFile({ ...request, engine }).finally(close);
  terminal.result({ texts, width, space, output: request.output });
  terminal.say(`${texts} vectors of width ${width} in ${request.output}  ${colors.dim(space)}`);
  return 0;
}
