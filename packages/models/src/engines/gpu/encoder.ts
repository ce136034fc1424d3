import { type EncoderModel, longestInput, type Norm } from "../../architectures/encoder.js";
import type { Ragged } from "../engine.js";
import type { Commands, Device } from "./device.js";
import { DispatchSizes, mostShapes } from "./dispatch-sizes.js";
import { attentionTile, softmaxAttention } from "./kernels/attention-tiled.js";
import { compact, type DispatchShape, decide, moveRows } from "./kernels/compact.js";
import type { Numbers } from "./kernels/kernel.js";
import { matmul } from "./kernels/matmul.js";
import type { MatmulShape } from "./kernels/matmul-shape.js";
import { embedding, norm, pool, rope, unitRows } from "./kernels/rows.js";
import type { MarginPolicy } from "./protocol.js";
import { interleave, stack, Weights } from "./weights.js";

/** Tokens of one command list; a longer batch runs in parts. */
const tokensPerRun = { software: 1024, hardware: 16384 };

interface Layer {
  readonly attentionNorm: GPUBuffer[];
  readonly qkv: GPUBuffer[];
  readonly output: GPUBuffer[];
  readonly feedforwardNorm: GPUBuffer[];
  readonly up: GPUBuffer[];
  readonly down: GPUBuffer[];
}

/** One command list, and how many rows it has. */
interface Run {
  readonly commands: Commands;
  readonly sizes: DispatchSizes;
  readonly tokens: number;
  readonly texts: number;
}

/** An encoder on the device: its weights, and room for one run. */
export class DeviceEncoder {
  private readonly layers: Layer[];
  private readonly exits: Map<number, { norm: GPUBuffer[]; projection: GPUBuffer[] }>;
  private readonly weights: Weights;
  private readonly room: StepBuffers;
  private readonly table: GPUBuffer;
  private readonly angles: GPUBuffer;
  private readonly most: number;

  constructor(
    private readonly device: Device,
    private readonly model: EncoderModel,
    half: boolean,
  ) {
    const { blocks, hidden, heads } = model;
    this.most = Math.max(longestInput(model), device.info.software ? tokensPerRun.software : tokensPerRun.hardware);
    this.weights = new Weights(device, half);
    const widest = Math.max(...blocks.map(({ up }) => up.rows));
    const matrices = blocks.flatMap(({ query, key, value, output, gate, up, down }) =>
      [query, key, value, output, gate, up, down].filter((matrix) => matrix !== undefined),
    );
    const parameters = [model.embedding, ...matrices].reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    device.admit(
      (half ? 2 : 4) * parameters + StepBuffers.bytes(model, this.most, widest, this.weights.type),
      `the encoder ${model.name}`,
    );
    try {
      this.table = this.weights.matrix(model.embedding, "embedding")[0]!;
      this.layers = blocks.map((block, i) => ({
        attentionNorm: this.norm(block.attentionNorm!, `layer ${i}`),
        qkv: this.weights.matrix(stack([block.query, block.key, block.value]), `layer ${i} qkv`),
        output: this.weights.matrix(block.output, `layer ${i} output`),
        feedforwardNorm: this.norm(block.feedforwardNorm, `layer ${i}`),
        up: this.weights.matrix(block.gate ? interleave(block.gate, block.up) : block.up, `layer ${i} up`),
        down: this.weights.matrix(block.down, `layer ${i} down`),
      }));
      this.exits = new Map(
        model.exits.map((exit) => [
          exit.layer,
          {
            norm: exit.norm ? this.norm(exit.norm, `exit ${exit.layer}`) : [],
            projection: this.weights.matrix(exit.projection!, `exit ${exit.layer}`),
          },
        ]),
      );
      this.angles = this.weights.keep(
        device.from(anglesOf(longestInput(model), hidden / heads, blocks[0]!.ropeTheta!), "angles"),
      );
      this.room = new StepBuffers(this.weights, model, this.most, widest, this.weights.type);
      device.check();
    } catch (error) {
      this.weights.release();
      throw error;
    }
  }

  /** Unit vectors, a row a text, all leaving after layer `exit`: a shorter command list. */
  async encode(batch: Ragged, exit: number): Promise<Float32Array> {
    const vectors = new Float32Array((batch.offsets.length - 1) * this.model.hidden);
    for (const { first, part } of this.parts(batch)) {
      const run = this.begin(part);
      for (let layer = 0; layer < exit; layer++) this.block(run, layer);
      this.leave(run, exit);
      const [bytes] = await run.commands.read({ buffer: this.room.vectors, bytes: 4 * run.texts * this.model.hidden });
      vectors.set(new Float32Array(bytes!), first * this.model.hidden);
    }
    return vectors;
  }

  /** Texts leave where their vector has settled; the rest move together on the device, and nothing is read in between. */
  async encodeByMargin(
    batch: Ragged,
    { margin, layers }: MarginPolicy,
  ): Promise<{ vectors: Float32Array; exits: Uint8Array }> {
    const { hidden } = this.model;
    const vectors = new Float32Array((batch.offsets.length - 1) * hidden);
    const exits = new Uint8Array(batch.offsets.length - 1);
    for (const { first, part } of this.parts(batch)) {
      const run = this.begin(part);
      const { texts, commands, sizes } = run;
      const room = this.room;
      this.device.write(
        room.origin[0]!,
        Uint32Array.from({ length: texts }, (_, i) => i),
      );
      this.device.write(room.margin, Float32Array.of(margin));
      for (let layer = 0; layer < layers.at(-1)!; layer++) {
        this.block(run, layer);
        if (!layers.includes(layer + 1)) continue;
        this.leave(run, layer + 1);
        const [origin, other] = room.origin as [GPUBuffer, GPUBuffer];
        commands.run(
          decide(hidden, layer + 1, layer + 1 === layers[0]),
          [room.counts, room.margin, origin, room.vectors, room.results, room.exits, room.keep],
          sizes.of("texts"),
        );
        if (layer + 1 === layers.at(-1)) break;
        const [offsets, newOffsets] = room.offsets as [GPUBuffer, GPUBuffer];
        commands.run(
          compact(sizes.shapes),
          [room.keep, offsets, origin, room.counts, newOffsets, other, room.starts, room.dispatch],
          [1],
        );
        sizes.compacted = true;
        commands.run(
          moveRows(hidden),
          [room.counts, newOffsets, room.starts, room.x[0]!, room.x[1]!, room.text],
          sizes.of("texts"),
        );
        for (const pair of [room.offsets, room.origin, room.x]) pair.reverse();
      }
      const [bytes, left] = await commands.read(
        { buffer: room.results, bytes: 4 * texts * hidden },
        { buffer: room.exits, bytes: 4 * texts },
      );
      vectors.set(new Float32Array(bytes!), first * hidden);
      exits.set(new Uint8Array(new Uint32Array(left!)), first);
    }
    return { vectors, exits };
  }

  release(): void {
    this.weights.release();
  }

  private norm(value: Norm, what: string): GPUBuffer[] {
    return this.weights.vectors(`${what} norm`, value.weight, value.bias);
  }

  private *parts({ ids, offsets }: Ragged): Iterable<{ first: number; part: Ragged }> {
    const texts = offsets.length - 1;
    for (let first = 0, last = 0; first < texts; first = last) {
      const start = offsets[first]!;
      while (last < texts && offsets[last + 1]! - start <= this.most) last += 1;
      const part = offsets.slice(first, last + 1).map((offset) => offset - start);
      yield { first, part: { ids: ids.subarray(start, offsets[last]), offsets: part } };
    }
  }

  private begin({ ids, offsets }: Ragged): Run {
    const texts = offsets.length - 1;
    const text = new Uint32Array(ids.length);
    for (let i = 0; i < texts; i++) text.fill(i, offsets[i], offsets[i + 1]);
    const { device, room, model } = this;
    device.write(room.counts, Uint32Array.of(ids.length, texts));
    device.write(room.ids, Int32Array.from(ids));
    device.write(room.text, text);
    device.write(room.offsets[0]!, offsets);
    const sizes = new DispatchSizes({ tokens: ids.length, texts }, room.dispatch);
    const commands = device.commands();
    commands.run(
      embedding(model.hidden, this.weights.type),
      [room.counts, room.ids, this.table, room.x[0]!],
      sizes.of("tokens"),
    );
    return { commands, sizes, tokens: ids.length, texts };
  }

  private product(
    { commands, sizes, ...run }: Run,
    shape: Omit<MatmulShape, "rows" | "weights" | "from" | "bias">,
    matrix: GPUBuffer[],
    x: GPUBuffer,
    y: GPUBuffer,
    by: DispatchShape["rows"] = "tokens",
  ): void {
    const { type } = this.weights;
    const { kernel, rows, columns } = matmul(
      { ...shape, rows: by, weights: type, from: type, bias: matrix.length > 1 },
      run[by],
      this.device.info.units,
    );
    commands.run(kernel, [this.room.counts, x, ...matrix, y], sizes.of(by, rows, Math.ceil(shape.outputs / columns)));
  }

  private block(run: Run, index: number): void {
    const { room, model } = this;
    const { commands, sizes } = run;
    const { hidden, heads, keyValueHeads } = model;
    const { type } = this.weights;
    const block = model.blocks[index]!;
    const layer = this.layers[index]!;
    const size = hidden / heads;
    const width = hidden + 2 * keyValueHeads * size;
    const x = room.x[0]!;
    commands.run(
      norm(hidden, block.attentionNorm!, "tokens", type),
      [room.counts, x, ...layer.attentionNorm, room.a],
      sizes.of("tokens"),
    );
    this.product(run, { inputs: hidden, outputs: width, to: type }, layer.qkv, room.a, room.wide);
    commands.run(
      rope(width, heads + keyValueHeads, size, type),
      [room.counts, room.text, room.offsets[0]!, this.angles, room.wide],
      sizes.of("tokens"),
    );
    commands.run(
      softmaxAttention(heads, keyValueHeads, size, type),
      [room.counts, room.text, room.offsets[0]!, room.wide, room.a],
      sizes.of("tokens", attentionTile, heads),
    );
    this.product(run, { inputs: hidden, outputs: hidden, residual: true }, layer.output, room.a, x);
    commands.run(
      norm(hidden, block.feedforwardNorm, "tokens", type),
      [room.counts, x, ...layer.feedforwardNorm, room.a],
      sizes.of("tokens"),
    );
    const inner = block.up.rows;
    const up = block.gate
      ? ({ outputs: 2 * inner, activation: "gated" } as const)
      : ({ outputs: inner, activation: "gelu-tanh" } as const);
    this.product(run, { inputs: hidden, ...up, to: type }, layer.up, room.a, room.wide);
    this.product(run, { inputs: inner, outputs: hidden, residual: true }, layer.down, room.wide, x);
  }

  private leave(run: Run, layer: number): void {
    const { room, model } = this;
    const { commands, sizes } = run;
    const { hidden } = model;
    const { type } = this.weights;
    const exit = this.exits.get(layer)!;
    const head = model.exits.find((candidate) => candidate.layer === layer)!;
    const x = room.x[0]!;
    if (head.norm)
      commands.run(norm(hidden, head.norm, "tokens", type), [room.counts, x, ...exit.norm, room.a], sizes.of("tokens"));
    commands.run(
      pool(hidden, model.pooling as "mean" | "last", head.norm ? type : "f32", type),
      [room.counts, room.offsets[0]!, head.norm ? room.a : x, room.pooled],
      sizes.of("texts"),
    );
    this.product(run, { inputs: hidden, outputs: hidden }, exit.projection, room.pooled, room.projected, "texts");
    commands.run(unitRows(hidden), [room.counts, room.projected, room.vectors], sizes.of("texts"));
  }
}

/** Buffers of one run of at most `tokens` tokens; pairs are swapped where texts leave. */
class StepBuffers {
  readonly counts: GPUBuffer;
  readonly ids: GPUBuffer;
  readonly text: GPUBuffer;
  readonly keep: GPUBuffer;
  readonly starts: GPUBuffer;
  readonly dispatch: GPUBuffer;
  readonly exits: GPUBuffer;
  readonly margin: GPUBuffer;
  readonly a: GPUBuffer;
  readonly wide: GPUBuffer;
  readonly pooled: GPUBuffer;
  readonly projected: GPUBuffer;
  readonly vectors: GPUBuffer;
  readonly results: GPUBuffer;
  readonly x: GPUBuffer[];
  readonly offsets: GPUBuffer[];
  readonly origin: GPUBuffer[];

  constructor(weights: Weights, { hidden }: EncoderModel, tokens: number, widest: number, values: Numbers) {
    const floats = (columns: number): GPUBuffer => weights.buffer(4 * tokens * columns, "activations");
    const numbers = (columns: number): GPUBuffer => weights.buffer(bytesOf[values] * tokens * columns, "activations");
    this.counts = weights.buffer(32, "counts");
    [this.ids, this.text, this.keep, this.starts, this.exits] = Array.from({ length: 5 }, () => floats(1)) as [
      GPUBuffer,
      GPUBuffer,
      GPUBuffer,
      GPUBuffer,
      GPUBuffer,
    ];
    this.margin = weights.buffer(4, "margin");
    this.dispatch = weights.buffer(12 * mostShapes, "dispatch", true);
    this.a = numbers(hidden);
    this.wide = numbers(Math.max(3 * hidden, widest));
    this.pooled = numbers(hidden);
    [this.projected, this.vectors, this.results] = Array.from({ length: 3 }, () => floats(hidden)) as [
      GPUBuffer,
      GPUBuffer,
      GPUBuffer,
    ];
    this.x = [floats(hidden), floats(hidden)];
    this.offsets = [weights.buffer(4 * (tokens + 1), "offsets"), weights.buffer(4 * (tokens + 1), "offsets")];
    this.origin = [floats(1), floats(1)];
  }

  static bytes({ hidden }: EncoderModel, tokens: number, widest: number, values: Numbers): number {
    const numbers = bytesOf[values] * (2 * hidden + Math.max(3 * hidden, widest));
    return tokens * (4 * (9 + 5 * hidden) + numbers) + 12 * mostShapes + 128;
  }
}

const bytesOf = { f32: 4, f16: 2 } as const;

/** cos and sin of position · θ^(−2j/s), beside each other. */
function anglesOf(positions: number, size: number, theta: number): Float32Array {
  const angles = new Float32Array(positions * size);
  for (let p = 0; p < positions; p++)
    for (let j = 0; j < size / 2; j++) {
      const angle = p * theta ** ((-2 * j) / size);
      angles[p * size + 2 * j] = Math.cos(angle);
      angles[p * size + 2 * j + 1] = Math.sin(angle);
    }
  return angles;
}
