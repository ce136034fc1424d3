import type { DecoderModel } from "../../architectures/decoder.js";
import { mostAlternatives } from "../decoder-batch.js";
import type { Device } from "./device.js";
import { attentionTile } from "./kernels/attention-tiled.js";
import { groupedRows, type Numbers } from "./kernels/kernel.js";
import { samplingWords } from "./kernels/sample.js";

interface RoomSizes {
  /** New tokens of a step, rows of logits, and sequences, at most. */
  readonly tokens: number;
  readonly rows: number;
  readonly sequences: number;
}

const bytesOf = (
  { hidden, layers, head }: DecoderModel,
  modules: readonly { experts: number; top: number; size: number }[],
  { tokens, rows, sequences }: RoomSizes,
  stride: number,
  values: Numbers,
) => {
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
  const experts = most(modules.map((each) => each.experts));
  const slots = tokens * most(modules.map(({ top }) => top));
  const size = most(modules.map((each) => each.size));
  const gates = layers
    .flatMap(({ attention, feedforward }) => [attention.routing, feedforward.routing])
    .map((routing) => (routing.kind === "learned" ? (routing.router.input?.rows ?? 0) : 0));
  const inner = Math.max(slots, 2 * tokens) * size;
  const reported = rows * (1 + Math.min(head.rows, mostAlternatives));
  const words = {
    counts: 4,
    ids: tokens,
    text: tokens,
    positions: tokens,
    blocks: sequences * stride,
    singles: tokens,
    pieces: 3 * (sequences + Math.ceil(tokens / pieceTokens(modules))),
    x: tokens * hidden,
    scores: tokens * experts,
    chosen: slots,
    shares: slots,
    histogram: experts,
    cursors: experts,
    tiles: 3 * (experts + Math.ceil(slots / groupedRows)),
    dispatch: 6,
    order: slots,
    rows,
    logits: rows * head.rows,
    settings: rows * samplingWords,
    masks: rows * Math.ceil(head.rows / 32),
    outIds: reported,
    outLogprobs: reported,
  };
  const numbers = {
    u: tokens * hidden,
    inner,
    mixed: Math.max(inner, tokens * most(gates)),
    outer: slots * hidden,
    gathered: rows * hidden,
  };
  const inBytes = <K extends string>(lengths: Record<K, number>, each: number): Record<K, number> =>
    Object.fromEntries(Object.entries<number>(lengths).map(([name, length]) => [name, each * length])) as Record<
      K,
      number
    >;
  return { ...inBytes(words, 4), ...inBytes(numbers, values === "f16" ? 2 : 4) };
};

/** New tokens of a sequence that one workgroup of attention takes together. */
export const pieceTokens = (modules: readonly { top: number }[]): number =>
  Math.max(1, Math.floor(attentionTile / Math.max(...modules.map(({ top }) => top))));

/** The buffers of one step. */
export type StepBuffers = Readonly<Record<keyof ReturnType<typeof bytesOf>, GPUBuffer>> & {
  readonly sizes: RoomSizes;
  release(): void;
};

/** @throws TesseraError OVERLOADED where it does not fit the budget; then nothing was allocated. */
export function openRoom(
  device: Device,
  model: DecoderModel,
  modules: readonly { experts: number; top: number; size: number }[],
  sizes: RoomSizes,
  stride: number,
  values: Numbers,
): StepBuffers {
  const needed = Object.entries(bytesOf(model, modules, sizes, stride, values));
  device.admit(
    needed.reduce((sum, [, bytes]) => sum + Math.max(bytes, 16), 0),
    "a step of the decoder",
  );
  const buffers = Object.fromEntries(
    needed.map(([name, bytes]) => [name, device.buffer(bytes, name, name === "dispatch")]),
  ) as Record<keyof ReturnType<typeof bytesOf>, GPUBuffer>;
  return { ...buffers, sizes, release: () => device.release(Object.values(buffers)) };
}
