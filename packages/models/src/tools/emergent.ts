// internal: convertToEmergent, mergeEmergent
import { TesseraError } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import { dequantise } from "../architectures/encoder.js";
import { decoderModel, readDecoderGolden } from "../architectures/tessera-decoder.js";
import { type Bundle, readBundle } from "../formats/bundle.js";
import type { Tensor } from "../formats/safetensors.js";
import { loaded } from "../formats/stored-rows.js";
import { copiedFiles, writeDecoderBundle } from "../formats/write-decoder.js";

interface Emergence {
  /** Layers to turn into experts, from 0. */
  readonly layers: readonly number[];
  readonly experts: number;
  /** Experts that run for a token. */
  readonly top: number;
  readonly seed?: number | undefined;
}

/**
 * Writes a dense bundle whose feedforwards are emergent experts in some layers (EMoE, arXiv 2310.10908): neurons are
 * clustered by their keys into groups of one size and put in their order, the gate of a group is the mean of its keys, each
 * chosen group has weight 1. No tensor is added and none changes its shape; with all experts on top it is the dense model.
 * @throws TesseraError BAD_ARGUMENT where layers, experts and top do not fit the bundle; BAD_BUNDLE; CONFLICT
 */
export async function convertToEmergent(folder: string, output: string, emergence: Emergence): Promise<void> {
  const bundle = await readBundle(folder);
  const model = decoderModel(bundle);
  const { layers, experts, top, seed = 0 } = emergence;
  const refuse = (message: string, hint?: string): TesseraError =>
    new TesseraError("BAD_ARGUMENT", message, { path: model.name, hint });
  if (model.architecture !== "tessera-dense" || bundle.config.emergent)
    throw refuse("only a dense bundle becomes emergent experts", "merge it first, if it has them already");
  const neurons = model.layers[0]!.feedforward.input[0]!.rows;
  if (layers.length === 0 || layers.some((layer) => !model.layers[layer]))
    throw refuse(
      `there is no layer ${layers.find((layer) => !model.layers[layer]) ?? ""}`,
      `layers: 0 to ${model.layers.length - 1}`,
    );
  if (!Number.isSafeInteger(experts) || experts < 1 || neurons % experts !== 0)
    throw refuse(`${experts} experts do not divide ${neurons} neurons`);
  if (!Number.isSafeInteger(top) || top < 1 || top > experts)
    throw refuse(`${top} of ${experts} experts cannot run`, "use 1 up to the number of experts");
  const tensors = new Map(bundle.tensors);
  for (const layer of new Set(layers)) {
    const clusters = balancedClusters(
      dequantise(loaded(model.layers[layer]!.feedforward.input[0]!)),
      neurons,
      experts,
      seed,
    );
    const order = [...clusters.keys()].sort((a, b) => clusters[a]! - clusters[b]! || a - b);
    permuteNeurons(tensors, layer, order);
  }
  const chosen = [...new Set(layers)].sort((a, b) => a - b);
  await rewrite(bundle, output, { ...bundle.config, emergent: { layers: chosen, experts, top } }, tensors);
}

/**
 * Writes the dense bundle of one with emergent experts: all its neurons run again, in the order they lie in. Its answers are
 * those of the dense bundle that it was, but for what was learnt since.
 * @throws TesseraError BAD_ARGUMENT where there are no emergent experts; BAD_BUNDLE; CONFLICT
 */
export async function mergeEmergent(folder: string, output: string): Promise<void> {
  const bundle = await readBundle(folder);
  decoderModel(bundle);
  const { emergent, ...config } = bundle.config;
  if (!emergent)
    throw new TesseraError("BAD_ARGUMENT", "the bundle has no emergent experts to merge", { path: bundle.name });
  await rewrite(bundle, output, config, bundle.tensors);
}

async function rewrite(
  bundle: Bundle,
  output: string,
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, Tensor>,
): Promise<void> {
  const { name, architecture, folder } = bundle;
  await writeDecoderBundle(output, {
    config: { ...config, name, architecture },
    tensors,
    cases: await readDecoderGolden(folder, decoderModel(bundle)),
    others: await copiedFiles(folder, ["tokenizer.json", "CARD.md"]),
  });
}

/** Puts the neurons of a feedforward in another order: rows of its input with their scales, columns of its output. */
function permuteNeurons(tensors: Map<string, Tensor>, layer: number, order: readonly number[]): void {
  const place = `layers.${layer}.feedforward`;
  for (const name of [`${place}.input.weight`, `${place}.input.weight.scale`]) {
    const tensor = tensors.get(name)!;
    const width = tensor.values.length / order.length;
    const values = shared(tensor);
    for (const [to, from] of order.entries())
      values.set(tensor.values.subarray(from * width, (from + 1) * width), to * width);
    tensors.set(name, { ...tensor, values });
  }
  const output = tensors.get(`${place}.output.weight`)!;
  const values = shared(output);
  for (let row = 0; row < values.length; row += order.length)
    for (const [to, from] of order.entries()) values[row + to] = output.values[row + from]!;
  tensors.set(`${place}.output.weight`, { ...output, values });
}

const shared = ({ values }: Tensor): Int8Array | Float32Array =>
  new (values.constructor as new (buffer: SharedArrayBuffer) => typeof values)(
    new SharedArrayBuffer(values.byteLength),
  );

/**
 * The cluster of each row of `keys` [rows, width]: k-means of the rows at unit length, every cluster of the same size. In
 * each round rows are given out by regret: the row that loses most by not getting its nearest open cluster comes first.
 */
export function balancedClusters(
  keys: Float32Array,
  rows: number,
  clusters: number,
  seed = 0,
  rounds = 20,
): Int32Array {
  const width = keys.length / rows;
  const points = Float64Array.from(keys);
  for (let row = 0; row < rows; row++) {
    const point = points.subarray(row * width, (row + 1) * width);
    const length = Math.hypot(...point) || 1;
    for (let i = 0; i < width; i++) point[i]! /= length;
  }
  const random = mulberry32(seed);
  const drawn = [...Array(rows).keys()];
  for (let i = 0; i < clusters; i++) {
    const other = i + Math.floor(random() * (rows - i));
    [drawn[i], drawn[other]] = [drawn[other]!, drawn[i]!];
  }
  let centres = Float64Array.from(
    { length: clusters * width },
    (_, i) => points[drawn[Math.floor(i / width)]! * width + (i % width)]!,
  );
  let labels: Int32Array = new Int32Array(rows).fill(-1);
  for (let round = 0; round < rounds; round++) {
    const fresh = assign(distancesOf(points, centres, rows, clusters), rows, clusters);
    if (fresh.every((label, row) => label === labels[row])) break;
    labels = fresh;
    centres = new Float64Array(clusters * width);
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < width; i++)
        centres[labels[row]! * width + i]! += (points[row * width + i]! * clusters) / rows;
  }
  return labels;
}

function distancesOf(points: Float64Array, centres: Float64Array, rows: number, clusters: number): Float64Array {
  const width = points.length / rows;
  const distances = new Float64Array(rows * clusters);
  for (let row = 0; row < rows; row++)
    for (let cluster = 0; cluster < clusters; cluster++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (points[row * width + i]! - centres[cluster * width + i]!) ** 2;
      distances[row * clusters + cluster] = Math.sqrt(sum);
    }
  return distances;
}

/** [rows, clusters] → a cluster a row, rows / clusters each. */
function assign(distances: Float64Array, rows: number, clusters: number): Int32Array {
  const labels = new Int32Array(rows).fill(-1);
  const room = new Int32Array(clusters).fill(rows / clusters);
  const nearest = new Int32Array(rows);
  const regret = new Float64Array(rows);
  const look = (row: number): void => {
    let [best, second, at] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, -1];
    for (let cluster = 0; cluster < clusters; cluster++) {
      const distance = distances[row * clusters + cluster]!;
      if (room[cluster] === 0) continue;
      if (distance < best) [second, best, at] = [best, distance, cluster];
      else if (distance < second) second = distance;
    }
    nearest[row] = at;
    regret[row] = second - best;
  };
  for (let row = 0; row < rows; row++) look(row);
  for (let given = 0; given < rows; given++) {
    let row = -1;
    for (let other = 0; other < rows; other++)
      if (labels[other]! < 0 && (row < 0 || regret[other]! > regret[row]!)) row = other;
    const cluster = nearest[row]!;
    labels[row] = cluster;
    room[cluster]! -= 1;
    // who wanted the cluster that is full now looks again, or has it as the second
    if (room[cluster] === 0) for (let other = 0; other < rows; other++) if (labels[other]! < 0) look(other);
  }
  return labels;
}
