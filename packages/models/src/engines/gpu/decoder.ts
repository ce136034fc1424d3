import type {
  AttentionModules,
  DecoderModel,
  FeedforwardModules,
  Routing,
  Weight,
} from "../../architectures/decoder.js";
import { dequantise, type Matrix, type Norm } from "../../architectures/encoder.js";
import { loaded } from "../../formats/stored-rows.js";
import type { CacheSize, DecoderBatch, DecoderResult } from "../engine.js";
import type { Commands, Device } from "./device.js";
import { stickDecode, storeKeyValue } from "./kernels/attention.js";
import { stickPrefill } from "./kernels/attention-tiled.js";
import { combine, expertHistogram, expertScatter, expertTiles, router } from "./kernels/experts.js";
import { matmul } from "./kernels/matmul.js";
import type { Activation, Matmul, MatmulShape } from "./kernels/matmul-shape.js";
import { embedding, norm } from "./kernels/rows.js";
import { gatherRows, sample, samplingWords, score } from "./kernels/sample.js";
import { openRoom, pieceTokens, type StepBuffers } from "./step-buffers.js";
import { stack, Weights } from "./weights.js";

/** Below this remainder of the stick, older tokens are not read: under the rounding of fp32 sums. */
const leastStick = 1e-8;

/** Modules of one kind in one layer, on the device. */
interface Modules {
  readonly experts: number;
  readonly top: number;
  readonly norm: Norm;
  readonly normWeights: GPUBuffer[];
  /** The router's two matrices, or the gate of avg-k. */
  readonly gate: GPUBuffer[][];
  readonly first: GPUBuffer[];
  readonly second: GPUBuffer[];
  readonly size: number;
  readonly routing: Routing;
}

interface Layer {
  readonly attention: Modules;
  readonly keyValue: GPUBuffer[];
  readonly cache: GPUBuffer;
  readonly feedforward: Modules;
}

/** New tokens of a step: those alone in their sequence, and pieces of prompts. */
interface Rows {
  readonly tokens: number;
  readonly singles: number;
  readonly pieces: number;
}

/** What one step draws from: its batch, the sequences that want a token, and what was computed for them. */
interface Draw {
  readonly batch: DecoderBatch;
  readonly drawn: readonly number[];
  readonly commands: ReturnType<Device["commands"]>;
  readonly room: StepBuffers;
}

/** Where the drawn tokens go, by sequence. */
interface Drawn {
  readonly next: Int32Array;
  readonly logprob: Float32Array;
  readonly alternatives: ({ id: number; logprob: number }[] | undefined)[] | undefined;
}

/** A decoder on the device: its weights and its paged cache. Room for a step grows to the largest step so far. */
export class DeviceDecoder {
  private readonly weights: Weights;
  private readonly layers: Layer[];
  private readonly table: GPUBuffer;
  private readonly head: GPUBuffer;
  private readonly finalNorm: GPUBuffer[];
  private room: StepBuffers | undefined;
  private readonly stride: number;

  constructor(
    private readonly device: Device,
    private readonly model: DecoderModel,
    private readonly cache: CacheSize,
    half: boolean,
  ) {
    this.stride = Math.ceil(model.context / cache.blockTokens);
    this.weights = new Weights(device, half);
    try {
      this.table = this.weights.matrix(loaded(model.embedding), "embedding")[0]!;
      this.head = model.head === model.embedding ? this.table : this.weights.matrix(loaded(model.head), "head")[0]!;
      this.finalNorm = this.norm(model.norm);
      this.layers = model.layers.map(({ attention, feedforward }) => {
        const size = attention.query[0]!.rows;
        return {
          attention: this.modules(attention, attention.query, attention.output),
          keyValue: attention.keyValue
            ? this.weights.matrix(
                stack([loaded(attention.keyValue.key), loaded(attention.keyValue.value)]),
                "keys and values",
              )
            : [],
          cache: this.weights.buffer(
            2 * (half ? 2 : 4) * size * cache.blocks * cache.blockTokens,
            `the cache of ${model.name}`,
          ),
          feedforward: this.modules(feedforward, feedforward.input, feedforward.output),
        };
      });
      device.check();
    } catch (error) {
      this.weights.release();
      throw error;
    }
  }

  async step(batch: DecoderBatch): Promise<DecoderResult> {
    const { device, model } = this;
    const { hidden } = model;
    const sequences = batch.offsets.length - 1;
    const tokens = batch.ids.length;
    const next = new Int32Array(sequences).fill(-1);
    const logprob = new Float32Array(sequences);
    if (sequences === 0) return { next, logprob };
    const drawn = [...batch.sampling.keys()].filter((i) => batch.sampling[i]);
    // rows whose logits are scored: each new token but the first, by the row before it
    const scored: { row: number; target: number }[] = [];
    for (let i = 0; i < sequences; i++)
      if (batch.scored?.[i])
        for (let t = batch.offsets[i]! + 1; t < batch.offsets[i + 1]!; t++)
          scored.push({ row: t - 1, target: batch.ids[t]! });

    const { room, rows } = this.prepare(batch, Math.max(drawn.length, Math.min(scored.length, scoredRows)));
    const commands = device.commands();
    commands.run(embedding(hidden, this.weights.type), [room.counts, room.ids, this.table, room.x], [tokens]);
    for (const layer of this.layers) {
      this.attention(commands, layer, rows, room);
      this.feedforward(commands, layer.feedforward, tokens, room);
    }
    // the rows are normed once: each wanted one is then gathered
    commands.run(
      norm(hidden, model.norm, "tokens", this.weights.type),
      [room.counts, room.x, ...this.finalNorm, room.u],
      [tokens],
    );
    const alternatives = batch.sampling.some((sampling) => sampling?.alternatives !== undefined)
      ? (Array.from({ length: sequences }) as ({ id: number; logprob: number }[] | undefined)[])
      : undefined;
    if (drawn.length === 0) await commands.read({ buffer: room.counts, bytes: 4 });
    else await this.draw({ batch, drawn, commands, room }, { next, logprob, alternatives });
    return {
      next,
      logprob,
      ...(alternatives && { alternatives }),
      ...(batch.scored && { scores: await this.scores(batch, scored, room) }),
    };
  }

  /** Draws a token for each sequence that asks for one, after what `commands` compute. */
  private async draw({ batch, drawn, commands, room }: Draw, { next, logprob, alternatives }: Drawn) {
    const vocabulary = this.model.head.rows;
    const most = Math.max(0, ...drawn.map((i) => Math.min(batch.sampling[i]!.alternatives ?? 0, vocabulary)));
    this.device.write(
      room.rows,
      Uint32Array.from(drawn, (i) => batch.offsets[i + 1]! - 1),
    );
    this.settings(batch, drawn, room);
    this.logits(commands, drawn.length, room);
    commands.run(
      sample(vocabulary, most),
      [room.logits, room.settings, room.masks, room.outIds, room.outLogprobs],
      [drawn.length],
    );
    const bytes = 4 * drawn.length * (1 + most);
    const [idBytes, logprobBytes] = await commands.read(
      { buffer: room.outIds, bytes },
      { buffer: room.outLogprobs, bytes },
    );
    const ids = new Uint32Array(idBytes!);
    const logprobs = new Float32Array(logprobBytes!);
    for (const [row, i] of drawn.entries()) {
      const at = row * (1 + most);
      next[i] = ids[at]!;
      logprob[i] = logprobs[at]!;
      const count = batch.sampling[i]!.alternatives;
      if (count !== undefined)
        alternatives![i] = Array.from({ length: Math.min(count, most) }, (_, j) => ({
          id: ids[at + 1 + j]!,
          logprob: logprobs[at + 1 + j]!,
        })).filter(({ id }) => id < vocabulary);
    }
  }

  private get moduleKinds(): Modules[] {
    return this.layers.flatMap(({ attention, feedforward }) => [attention, feedforward]);
  }

  release(): void {
    this.room?.release();
    this.weights.release();
  }

  private norm(value: Norm): GPUBuffer[] {
    return this.weights.vectors("norm", value.weight, value.bias);
  }

  private modules(
    { norm, routing }: AttentionModules | FeedforwardModules,
    first: readonly Weight[],
    second: readonly Weight[],
  ): Modules {
    const gate =
      routing.kind === "learned"
        ? [routing.router.input!, routing.router.output].map((part) => this.weights.matrix(loaded(part), "router"))
        : routing.kind === "average"
          ? [this.weights.matrix(stack(first.map((matrix) => meanRow(loaded(matrix)))), "gate")]
          : [];
    return {
      experts: first.length,
      top: routing.kind === "none" ? 1 : routing.top,
      norm,
      normWeights: this.norm(norm),
      gate,
      first: this.weights.matrix(stack(first.map(loaded)), "modules"),
      second: this.weights.matrix(stack(second.map(loaded)), "modules"),
      size: first[0]!.rows,
      routing,
    };
  }

  private prepare(batch: DecoderBatch, rows: number): { room: StepBuffers; rows: Rows } {
    const { device, model } = this;
    const tokens = batch.ids.length;
    const sequences = batch.offsets.length - 1;
    if (
      this.room === undefined ||
      this.room.sizes.tokens < tokens ||
      this.room.sizes.rows < rows ||
      this.room.sizes.sequences < sequences
    ) {
      const grown = (now: number, before = 0): number => Math.max(before, 2 ** Math.ceil(Math.log2(Math.max(now, 16))));
      const sizes = {
        tokens: grown(tokens, this.room?.sizes.tokens),
        rows: grown(rows, this.room?.sizes.rows),
        sequences: grown(sequences, this.room?.sizes.sequences),
      };
      this.room?.release();
      this.room = undefined;
      this.room = openRoom(device, model, this.moduleKinds, sizes, this.stride, this.weights.type);
    }
    const { room } = this;
    const text = new Uint32Array(tokens);
    const positions = new Uint32Array(tokens);
    const blocks = new Uint32Array(sequences * this.stride);
    const singles: number[] = [];
    const pieces: number[] = [];
    const piece = pieceTokens(this.moduleKinds);
    for (let i = 0; i < sequences; i++) {
      const [first, last] = [batch.offsets[i]!, batch.offsets[i + 1]!];
      if (last - first === 1) singles.push(first);
      else for (let t = first; t < last; t += piece) pieces.push(i, t, Math.min(t + piece, last));
      text.fill(i, first, last);
      for (let t = first; t < last; t++) positions[t] = batch.cached[i]! + t - first;
      blocks.set(batch.blocks[i]!.subarray(0, this.stride), i * this.stride);
    }
    device.write(room.ids, Int32Array.from(batch.ids));
    device.write(room.text, text);
    device.write(room.positions, positions);
    device.write(room.blocks, blocks);
    device.write(room.singles, Uint32Array.from(singles));
    device.write(room.pieces, Uint32Array.from(pieces));
    device.write(room.counts, Uint32Array.of(tokens, sequences, batch.sampling.filter(Boolean).length));
    return { room, rows: { tokens, singles: singles.length, pieces: pieces.length / 3 } };
  }

  private settings(batch: DecoderBatch, drawn: readonly number[], room: StepBuffers): void {
    const words = Math.ceil(this.model.head.rows / 32);
    const settings = new Uint32Array(drawn.length * samplingWords);
    const floats = new Float32Array(settings.buffer);
    const masks = new Uint32Array(drawn.length * words).fill(0xffffffff);
    for (const [row, i] of drawn.entries()) {
      const { temperature, topP, random, allowed } = batch.sampling[i]!;
      floats.set([temperature, topP, random], row * samplingWords);
      if (allowed) masks.fill(0, row * words, (row + 1) * words).set(allowed.subarray(0, words), row * words);
    }
    this.device.write(room.settings, settings);
    this.device.write(room.masks, masks);
  }

  private logits(commands: Commands, rows: number, room: StepBuffers): void {
    const { hidden } = this.model;
    const outputs = this.model.head.rows;
    commands.run(gatherRows(hidden, this.weights.type), [room.counts, room.rows, room.u, room.gathered], [rows]);
    this.product(commands, { inputs: hidden, outputs, rows: "drawn" }, rows, room.gathered, [this.head], room.logits);
  }

  /** In parts of `scoredRows`, so that a long prompt does not need logits of all its tokens at once. */
  private async scores(
    batch: DecoderBatch,
    scored: readonly { row: number; target: number }[],
    room: StepBuffers,
  ): Promise<(Float32Array | undefined)[]> {
    const all = new Float32Array(scored.length);
    for (let from = 0; from < scored.length; from += scoredRows) {
      const part = scored.slice(from, from + scoredRows);
      this.device.write(room.counts, Uint32Array.of(0, 0, part.length));
      this.device.write(
        room.rows,
        Uint32Array.from(part, ({ row }) => row),
      );
      this.device.write(
        room.settings,
        Uint32Array.from(part, ({ target }) => target),
      );
      const commands = this.device.commands();
      this.logits(commands, part.length, room);
      commands.run(
        score(this.model.head.rows),
        [room.counts, room.logits, room.settings, room.outLogprobs],
        [part.length],
      );
      const [bytes] = await commands.read({ buffer: room.outLogprobs, bytes: 4 * part.length });
      all.set(new Float32Array(bytes!), from);
    }
    let at = 0;
    return Array.from({ length: batch.offsets.length - 1 }, (_, i) => {
      if (!batch.scored?.[i]) return undefined;
      const count = batch.offsets[i + 1]! - batch.offsets[i]! - 1;
      at += count;
      return all.slice(at - count, at);
    });
  }

  /** The kernel of a product of at most `rows` rows (grouped: places) of fp16 where weights are. */
  private kernelOf(shape: Omit<MatmulShape, "weights" | "from">, rows: number): Matmul {
    const { type } = this.weights;
    return matmul({ ...shape, weights: type, from: type }, rows, this.device.info.units);
  }

  private product(
    commands: Commands,
    shape: Omit<MatmulShape, "weights" | "from" | "bias">,
    rows: number,
    x: GPUBuffer,
    matrix: GPUBuffer[],
    y: GPUBuffer,
  ): void {
    const made = this.kernelOf({ ...shape, bias: matrix.length > 1 }, rows);
    commands.run(
      made.kernel,
      [this.room!.counts, x, ...matrix, y],
      [Math.ceil(rows / made.rows), Math.ceil(shape.outputs / made.columns)],
    );
  }

  private attention(
    commands: Commands,
    { attention, keyValue, cache }: Layer,
    { tokens, singles, pieces }: Rows,
    room: StepBuffers,
  ): void {
    const { hidden, heads } = this.model;
    const { type } = this.weights;
    const { size, top } = attention;
    const paging = { blockTokens: this.cache.blockTokens, stride: this.stride };
    const where = [room.counts, room.text, room.positions, room.blocks];
    commands.run(
      norm(hidden, attention.norm, "tokens", type),
      [room.counts, room.x, ...attention.normWeights, room.u],
      [tokens],
    );
    if (keyValue.length > 0)
      this.product(
        commands,
        { inputs: hidden, outputs: 2 * size, rows: "tokens", to: type },
        tokens,
        room.u,
        keyValue,
        room.inner,
      );
    // without a matrix of their own, keys and values are the input itself
    const [source, columns] =
      keyValue.length > 0 ? [room.inner, { width: 2 * size, value: size }] : [room.u, { width: hidden, value: 0 }];
    commands.run(storeKeyValue(size, columns, paging, type), [...where, source, cache], [tokens]);
    this.route(commands, attention, tokens, room);
    this.grouped(commands, attention, "first", "none", room.u, room.inner, tokens, room);
    const shape = {
      heads,
      size: size / heads,
      top,
      ...paging,
      current: this.model.attendsCurrent,
      least: leastStick,
      values: type,
    };
    if (pieces > 0)
      commands.run(
        stickPrefill(shape),
        [room.pieces, room.positions, room.blocks, room.inner, cache, room.mixed],
        [pieces, heads],
      );
    if (singles > 0)
      commands.run(
        stickDecode(shape),
        [room.singles, room.text, room.positions, room.blocks, room.inner, cache, room.mixed],
        [singles * top, heads],
      );
    this.grouped(commands, attention, "second", "none", room.mixed, room.outer, tokens, room);
    commands.run(combine(hidden, top, type), [room.counts, room.shares, room.outer, room.x], [tokens]);
  }

  private feedforward(commands: Commands, modules: Modules, tokens: number, room: StepBuffers): void {
    const { hidden } = this.model;
    const { type } = this.weights;
    commands.run(
      norm(hidden, modules.norm, "tokens", type),
      [room.counts, room.x, ...modules.normWeights, room.u],
      [tokens],
    );
    this.route(commands, modules, tokens, room);
    this.grouped(commands, modules, "first", "gelu-tanh", room.u, room.inner, tokens, room);
    this.grouped(commands, modules, "second", "none", room.inner, room.outer, tokens, room);
    commands.run(combine(hidden, modules.top, type), [room.counts, room.shares, room.outer, room.x], [tokens]);
  }

  /** Which modules each token asks, and the places sorted by module. */
  private route(commands: Commands, modules: Modules, tokens: number, room: StepBuffers): void {
    const { hidden } = this.model;
    const { gate, experts, top, routing } = modules;
    if (routing.kind === "learned") {
      const inner = routing.router.input!.rows;
      const first = { inputs: hidden, outputs: inner, rows: "tokens", activation: "gelu-erf" } as const;
      this.product(commands, { ...first, to: this.weights.type }, tokens, room.u, gate[0]!, room.mixed);
      const second = { inputs: inner, outputs: experts, rows: "tokens" } as const;
      this.product(commands, second, tokens, room.mixed, gate[1]!, room.scores);
    } else if (routing.kind === "average") {
      const shape = { inputs: hidden, outputs: experts, rows: "tokens" } as const;
      this.product(commands, shape, tokens, room.u, gate[0]!, room.scores);
    } else commands.clear(room.scores);
    commands.run(
      router(experts, top, routing.kind === "learned" ? "learned" : "average"),
      [room.counts, room.scores, room.chosen, room.shares],
      [Math.ceil(tokens / 64)],
    );
    const groups = [Math.ceil((tokens * top) / 64)] as const;
    commands.clear(room.histogram);
    commands.run(expertHistogram(top), [room.counts, room.chosen, room.histogram], groups);
    const columns = (["first", "second"] as const).map((which) => {
      const shape = this.groupedShape(modules, which, "none");
      return Math.ceil(shape.outputs / this.kernelOf(shape, tokens * top).columns);
    });
    commands.run(expertTiles(experts, columns), [room.histogram, room.cursors, room.tiles, room.dispatch], [1]);
    commands.run(expertScatter(top), [room.counts, room.chosen, room.cursors, room.order], groups);
  }

  private groupedShape(
    { experts, size, top }: Modules,
    which: "first" | "second",
    activation: Activation,
  ): Omit<MatmulShape, "weights" | "from"> {
    const { hidden } = this.model;
    const [inputs, outputs] = which === "first" ? [hidden, size] : [size, hidden];
    const grouped = { experts, top, input: which === "first" ? "token" : "place" } as const;
    return { inputs, outputs, rows: "tokens", to: this.weights.type, activation, grouped };
  }

  private grouped(
    commands: Commands,
    modules: Modules,
    which: "first" | "second",
    activation: Activation,
    x: GPUBuffer,
    y: GPUBuffer,
    tokens: number,
    room: StepBuffers,
  ): void {
    const { kernel } = this.kernelOf(this.groupedShape(modules, which, activation), tokens * modules.top);
    commands.run(kernel, [room.tiles, room.order, x, modules[which][0]!, y], {
      dispatch: room.dispatch,
      at: which === "first" ? 0 : 12,
    });
  }
}

/** Rows whose logits are held at once while a prompt is scored. */
const scoredRows = 64;

/** The mean row of a module's input matrix: the gate of avg-k. */
function meanRow(matrix: Matrix): Matrix {
  const values = dequantise(matrix);
  const mean = new Float32Array(matrix.columns);
  for (let i = 0; i < matrix.columns; i++) {
    let sum = 0;
    for (let row = 0; row < matrix.rows; row++) sum += values[row * matrix.columns + i]!;
    mean[i] = sum / matrix.rows;
  }
  return { rows: 1, columns: matrix.columns, values: mean };
}
