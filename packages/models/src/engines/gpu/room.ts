// internal
import type { GeneratorModel } from "../../generator-model.js";
import { mostAlternatives } from "../generator-batch.js";
import type { Device } from "./device.js";
import { tile } from "./kernels/matmul.js";
import { samplingWords } from "./kernels/sample.js";

export interface RoomSizes {
  /** New tokens of a step, rows of logits, and sequences, at most. */
  readonly tokens: number;
  readonly rows: number;
  readonly sequences: number;
}

const lengthsOf = (
  { hidden, layers, head }: GeneratorModel,
  modules: readonly { experts: number; top: number; size: number }[],
  { tokens, rows, sequences }: RoomSizes,
  stride: number,
) => {
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
  const experts = most(modules.map((each) => each.experts));
  const slots = tokens * most(modules.map(({ top }) => top));
  const size = most(modules.map((each) => each.size));
  const gates = layers
    .flatMap(({ attention, feedforward }) => [attention.routing, feedforward.routing])
    .map((routing) => (routing.kind === "learned" ? routing.router.input.rows : 0));
  const inner = Math.max(slots, 2 * tokens) * size;
  const reported = rows * (1 + Math.min(head.rows, mostAlternatives));
  return {
    counts: 4,
    ids: tokens,
    text: tokens,
    positions: tokens,
    blocks: sequences * stride,
    x: tokens * hidden,
    u: tokens * hidden,
    inner,
    mixed: Math.max(inner, tokens * most(gates)),
    outer: slots * hidden,
    scores: tokens * experts,
    chosen: slots,
    shares: slots,
    histogram: experts,
    cursors: experts,
    tiles: 3 * (experts + Math.ceil(slots / tile)),
    dispatch: 6,
    order: slots,
    rows,
    gathered: rows * hidden,
    logits: rows * head.rows,
    settings: rows * samplingWords,
    masks: rows * Math.ceil(head.rows / 32),
    outIds: reported,
    outLogprobs: reported,
  };
};

/** The buffers of one step. */
export type Room = Readonly<Record<keyof ReturnType<typeof lengthsOf>, GPUBuffer>> & {
  readonly sizes: RoomSizes;
  release(): void;
};

/** @throws TesseraError OVERLOADED where it does not fit the budget; then nothing was allocated. */
export function openRoom(
  device: Device,
  model: GeneratorModel,
  modules: readonly { experts: number; top: number; size: number }[],
  sizes: RoomSizes,
  stride: number,
): Room {
  const lengths = Object.entries(lengthsOf(model, modules, sizes, stride));
  device.admit(4 * lengths.reduce((sum, [, length]) => sum + Math.max(length, 4), 0), "a step of the generator");
  const buffers = Object.fromEntries(
    lengths.map(([name, length]) => [name, device.buffer(4 * length, name, name === "dispatch")]),
  ) as Record<keyof ReturnType<typeof lengthsOf>, GPUBuffer>;
  return { ...buffers, sizes, release: () => device.release(Object.values(buffers)) };
}
