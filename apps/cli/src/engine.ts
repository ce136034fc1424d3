import { chooseEngine, type Engine, type EngineChoice, type EngineKind } from "@tessera/models";
import { assertVectors, needsEngine, openVectors, type Vectors } from "@tessera/models/internal";
import { Option } from "commander";
import type { Terminal } from "./terminal.js";

/** A model, and what computes it. */
export interface EncoderOptions {
  readonly encoder?: string;
  readonly engine?: EngineKind;
}

/** `--engine`, which $TESSERA_ENGINE sets where it is not given; "auto" where neither says anything. */
export const engineOption = (): Option =>
  new Option("--engine <kind>", "what computes a model (auto: a GPU that passes its self-test, else the CPU)")
    .choices(["auto", "cpu", "gpu"])
    .env("TESSERA_ENGINE");

/**
 * The engine that was asked for, or by itself a GPU or the CPU; a line says which it is, and why, unless the CPU was asked
 * for or `says` is false.
 * @throws TesseraError DEPENDENCY_MISSING or MODEL_FAILED for "gpu" where there is none, or it computes wrongly.
 */
export async function openEngine(
  terminal: Terminal,
  kind: EngineKind = "auto",
  choose: typeof chooseEngine = chooseEngine,
  says: boolean = kind !== "cpu",
): Promise<EngineChoice> {
  const choice = await choose(kind);
  if (says) terminal.note(choice.reason);
  return choice;
}

/**
 * A model on the engine that was asked for; the two are closed together.
 * @throws TesseraError as `openEngine` and `open`
 */
export async function openOnEngine<Model extends { close(): Promise<void> }>(
  { engine, close }: EngineChoice,
  open: (engine: Engine) => Promise<Model>,
): Promise<Model> {
  try {
    const model = await open(engine);
    return { ...model, close: () => model.close().finally(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * What a name stands for as the maker of vectors, on the engine that was asked for; hash features and other libraries need none.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE; else as `openEngine` and `openVectors`
 */
export async function openNamed(
  terminal: Terminal,
  { encoder: name, engine }: EncoderOptions,
  choose?: typeof chooseEngine,
): Promise<Vectors> {
  if (!needsEngine(name)) return openVectors(name);
  await assertVectors(name);
  return openOnEngine(await openEngine(terminal, engine, choose), (engine) => openVectors(name, engine));
}
