// internal: pruneDecoder
import { TesseraError } from "@tessera/core";
import type { DecoderModel, Frequencies } from "../architectures/decoder.js";
import { decoderModel, readDecoderGolden } from "../architectures/tessera-decoder.js";
import type { Engine } from "../engines/engine.js";
import { readBundle } from "../formats/bundle.js";
import type { Tensor } from "../formats/safetensors.js";
import { copiedFiles, writeDecoderBundle } from "../formats/write-decoder.js";
import { type Counting, moduleFrequencies, type Sample } from "./module-frequencies.js";

/** Places of the modules that stay, rising, by layer. */
interface KeptModules {
  readonly attention: readonly (readonly number[])[];
  readonly feedforward: readonly (readonly number[])[];
}

/**
 * The `keep` share of modules of each layer that are chosen most, at least as many as run for a token; ties to the lower
 * (ModuleFormer, specialisation by pruning).
 */
export function mostUsedModules(
  { attention, feedforward }: Frequencies,
  model: DecoderModel,
  keep: number,
): KeptModules {
  const best = (kind: "attention" | "feedforward", shares: readonly (readonly number[])[]): number[][] =>
    shares.map((layer, l) => {
      const { routing } = model.layers[l]![kind];
      const count = Math.max(routing.kind === "none" ? 1 : routing.top, Math.round(keep * layer.length));
      const order = [...layer.keys()].sort((a, b) => layer[b]! - layer[a]! || a - b);
      return order.slice(0, count).sort((a, b) => a - b);
    });
  return { attention: best("attention", attention), feedforward: best("feedforward", feedforward) };
}

interface Pruning extends Counting {
  /** The share of modules that stay in each layer, above 0 and at most 1. */
  readonly keep: number;
  /** What the modules are to serve. */
  readonly samples: readonly Sample[];
  readonly engine: Engine;
}

/**
 * Writes a smaller bundle without the modules that serve some text least; what stays is as it was.
 * @throws TesseraError BAD_ARGUMENT; BAD_BUNDLE; CONFLICT; MISSING_CAPABILITY of a dense model
 */
export async function pruneDecoder(
  folder: string,
  output: string,
  { keep, samples, engine, progress, signal }: Pruning,
): Promise<KeptModules> {
  if (!(keep > 0 && keep <= 1))
    throw new TesseraError("BAD_ARGUMENT", `${keep} is no share of modules`, { hint: "use more than 0 and at most 1" });
  const bundle = await readBundle(folder);
  const model = decoderModel(bundle);
  if (model.architecture !== "tessera-moe")
    throw new TesseraError("MISSING_CAPABILITY", "only modules that a router chooses can be dropped", {
      path: model.name,
      hint: "a bundle of architecture tessera-moe has them",
    });
  const together = samples.map(({ ids }) => ({ domain: "all", ids }));
  // once to choose, once of the smaller one
  const counting = (pass: number): Counting => ({
    progress: progress && ((done, total) => progress(pass * total + done, 2 * total)),
    signal,
  });
  const { all } = await moduleFrequencies(model, together, engine, counting(0));
  const kept = mostUsedModules(all!, model, keep);
  const tensors = new Map([...bundle.tensors].map(([name, tensor]) => [name, sliced(name, tensor, kept)]));
  const counts = (layers: readonly (readonly number[])[]): number | number[] => {
    const each = layers.map(({ length }) => length);
    return each.every((count) => count === each[0]) ? each[0]! : each;
  };
  const { attention, feedforward } = bundle.config as Record<"attention" | "feedforward", object>;
  const config = {
    ...bundle.config,
    name: bundle.name,
    architecture: bundle.architecture,
    attention: { ...attention, experts: counts(kept.attention) },
    feedforward: { ...feedforward, experts: counts(kept.feedforward) },
    pruned: { from: bundle.revision, keep },
  };
  const { name, architecture } = config;
  const smaller = decoderModel({ ...bundle, config, tensors, name, architecture });
  const card = [
    `# ${name}, pruned`,
    "",
    `Made of revision ${bundle.revision} by \`tessera models prune --keep ${keep}\`: in each layer the modules that the router chose most on the text given. Everything else is that of the bundle it was made of, its licence too.`,
    "",
  ].join("\n");
  await writeDecoderBundle(output, {
    config: { ...config, frequencies: await moduleFrequencies(smaller, samples, engine, counting(1)) },
    tensors,
    cases: await readDecoderGolden(folder, model),
    others: new Map<string, string | Uint8Array>([
      ...(await copiedFiles(folder, ["tokenizer.json"])),
      ["CARD.md", card],
    ]),
  });
  return kept;
}

const moduleTensor =
  /^layers\.(\d+)\.(attention|feedforward)\.(?:(?:query|input|output)\.weight|gate\.output\.weight)(?:\.scale)?$/;

/** Tensors whose first dimension counts modules lose the rows of those that go. */
function sliced(name: string, tensor: Tensor, kept: KeptModules): Tensor {
  const [, layer, kind] = moduleTensor.exec(name) ?? [];
  if (layer === undefined) return tensor;
  const places = kept[kind as keyof KeptModules][Number(layer)]!;
  const { shape, values } = tensor;
  const size = values.length / shape[0]!;
  const fewer = new (values.constructor as new (buffer: SharedArrayBuffer) => typeof values)(
    new SharedArrayBuffer(places.length * size * values.BYTES_PER_ELEMENT),
  );
  for (const [i, place] of places.entries()) fewer.set(values.subarray(place * size, (place + 1) * size), i * size);
  return { shape: [places.length, ...shape.slice(1)], values: fewer };
}
