// internal: Precision

import type {
  AttentionModules,
  DecoderModel,
  FeedforwardModules,
  Multipliers,
  Rotary,
  Routing,
  SoftmaxAttention,
  Weight,
} from "../../architectures/decoder.js";
import type { Matrix, Norm } from "../../architectures/encoder.js";
import { dequantise } from "../../architectures/encoder.js";
import { loaded } from "../../formats/stored-rows.js";
import type { CacheSize } from "../engine.js";
import { digits } from "./kernel-blocks.js";
import { bytesOfMatrix, isBlocks, kindOfStored, type PackedKind, padded, writeMatrix } from "./pack-weights.js";

export type Precision = "int8" | "fp32";

/** Where a matrix lies: addresses are bytes. Rows are padded too, so that a product writes whole padded vectors. */
export interface PackedMatrix {
  readonly kind: PackedKind;
  readonly rows: number;
  readonly columns: number;
  readonly weights: number;
  /** fp32: [padded rows], ones for fp32 weights; of blocks [panels, blocks, 2, 16]: scales, then middles, fp32 or halves. */
  readonly scales: number;
  /** [padded rows] fp32 */
  readonly bias: number;
}

export interface PackedNorm {
  readonly kind: Norm["kind"];
  readonly weight: number;
  readonly bias: number;
  readonly epsilon: number;
  /** Components that are normed together. */
  readonly width: number;
}

export type PackedRouting =
  | { readonly kind: "none" }
  | {
      readonly kind: "learned";
      readonly input: PackedMatrix | undefined;
      readonly output: PackedMatrix;
      readonly top: number;
      readonly over: "all" | "chosen";
    }
  | { readonly kind: "average"; readonly gate: PackedMatrix; readonly top: number };

export interface PackedAttention {
  readonly norm: PackedNorm;
  readonly routing: PackedRouting;
  readonly query: readonly PackedMatrix[];
  readonly output: readonly PackedMatrix[];
  readonly keyValue?: { readonly key: PackedMatrix; readonly value: PackedMatrix };
  readonly softmax?: PackedSoftmax | undefined;
  /** [padded hidden], added once a token; 0 where there is none. */
  readonly bias: number;
  /** The cache: [blocks · blockTokens, padded size of keys] each; one and the same where keys and values are the input. */
  readonly keys: number;
  readonly values: number;
}

export interface PackedSoftmax {
  readonly keyValueHeads: number;
  readonly scale: number;
  readonly rotary: Rotary | undefined;
  readonly queryNorm: PackedNorm | undefined;
  readonly keyNorm: PackedNorm | undefined;
}

export interface PackedFeedforward {
  readonly norm: PackedNorm;
  readonly routing: PackedRouting;
  readonly input: readonly PackedMatrix[];
  readonly gate: readonly PackedMatrix[] | undefined;
  readonly output: readonly PackedMatrix[];
  readonly shared: PackedShared | undefined;
  /** As of attention. */
  readonly bias: number;
}

/** A part that runs for every token. */
export interface PackedShared {
  readonly input: PackedMatrix;
  readonly gate: PackedMatrix;
  readonly output: PackedMatrix;
  readonly weight: PackedMatrix | undefined;
}

/** Room that one thread works in; addresses are from the beginning of its scratch. */
export interface Scratch {
  /** Tokens that are computed together. */
  readonly tokens: number;
  /** Tokens whose logits are computed together. */
  readonly logitTokens: number;
  /** Queries by softmax that are attended together. */
  readonly queries: number;
  /** Places of the scores of one query, and blocks of one sequence. */
  readonly places: number;
  readonly blocks: number;
  readonly at: Readonly<
    Record<
      | "trunk"
      | "normed"
      | "quantised"
      | "digits"
      | "gate"
      | "router"
      | "inner"
      | "gates"
      | "angles"
      | "found"
      | "inputs"
      | "inputScales"
      | "outputs"
      | "table"
      | "scores"
      | "logits"
      | "powers",
      number
    >
  >;
  readonly bytes: number;
}

/** A decoder and its cache as addresses of one shared memory: plain data, the same for every thread. */
export interface PackedModel {
  readonly precision: Precision;
  readonly hidden: number;
  readonly heads: number;
  /** Components of a module's query. */
  readonly size: number;
  /** Components of a key and of a value. */
  readonly keySize: number;
  readonly multipliers: Multipliers;
  /** Whether weights are in blocks: all of them are, or none; small ones may be in fp32. */
  readonly hasBlocks: boolean;
  readonly attendsCurrent: boolean;
  readonly blockTokens: number;
  readonly embedding: PackedMatrix;
  readonly head: PackedMatrix;
  readonly norm: PackedNorm;
  readonly layers: readonly { readonly attention: PackedAttention; readonly feedforward: PackedFeedforward }[];
  readonly scratch: Scratch;
  /** Where the scratch of each thread begins. */
  readonly threads: readonly number[];
  readonly bytes: number;
}

/** Gives out addresses, and remembers what is to be written there. */
class Arena {
  bytes = 64; // no address is 0
  readonly writes: ((memory: ArrayBufferLike) => void)[] = [];

  take(bytes: number): number {
    const address = this.bytes;
    this.bytes += Math.ceil(bytes / 64) * 64;
    return address;
  }

  floats(values: Float32Array, length: number): number {
    const address = this.take(4 * length);
    this.writes.push((memory) => new Float32Array(memory, address, length).set(values));
    return address;
  }

  norm({ kind, weight, bias, epsilon }: Norm): PackedNorm {
    const length = padded(weight.length);
    return {
      kind,
      weight: this.floats(weight, length),
      bias: bias ? this.floats(bias, length) : this.take(4 * length),
      epsilon,
      width: weight.length,
    };
  }

  /** `make` gives the weights when they are written. */
  matrix(
    { rows, columns, bias }: Pick<Matrix, "rows" | "columns" | "bias">,
    kind: PackedKind,
    make: () => Weight,
  ): PackedMatrix {
    const bytes = bytesOfMatrix(kind, rows, columns);
    const [weights, scales] = [this.take(bytes.weights), this.take(bytes.scales)];
    this.writes.push((memory) => writeMatrix(make(), memory, { kind, columns, weights, scales }));
    const outputs = padded(rows);
    return {
      kind,
      rows,
      columns,
      weights,
      scales,
      bias: bias ? this.floats(bias, outputs) : this.take(4 * outputs),
    };
  }
}

/** Tokens that are computed together: enough to read a panel of weights from the cache, few enough to stay in it. */
const passTokens = 32;
const logitTokens = 8;
/** The scores of the queries that are attended together take about this much, half of a core's own cache. */
const scoreBytes = 512 * 1024;

/** Lays a model out for `threads` threads; `write` fills the memory, once. */
export function plan(
  model: DecoderModel,
  cache: CacheSize,
  precision: Precision,
  threads: number,
): { readonly packed: PackedModel; write(memory: ArrayBufferLike): void } {
  const arena = new Arena();
  const packer = new Packer(arena, precision === "fp32", model.hidden);
  const embedding = packer.matrix(model.embedding);
  const head = model.head === model.embedding ? embedding : packer.matrix(model.head);
  const { size, keySize } = sizesOf(model);
  const places = cache.blocks * cache.blockTokens * padded(keySize) * 4;
  const layers = model.layers.map(({ attention, feedforward }) => {
    const keys = arena.take(places);
    const values = attention.keyValue ? arena.take(places) : keys;
    return {
      attention: { ...packer.attention(attention), keys, values },
      feedforward: packer.feedforward(feedforward),
    };
  });
  const norm = arena.norm(model.norm);
  const scratch = scratchOf(model, cache);
  const packed: PackedModel = {
    precision,
    hidden: model.hidden,
    heads: model.heads,
    size,
    keySize,
    multipliers: model.multipliers ?? { embedding: 1, residual: 1, logits: 1 },
    attendsCurrent: model.attendsCurrent,
    hasBlocks: isBlocks(embedding.kind),
    blockTokens: cache.blockTokens,
    embedding,
    head,
    norm,
    layers,
    scratch,
    threads: Array.from({ length: threads }, () => arena.take(scratch.bytes)),
    bytes: arena.bytes,
  };
  return {
    packed,
    write(memory) {
      for (const write of arena.writes) write(memory);
    },
  };
}

/** Components of a query, and of a key: those of the input where keys and values are the input itself. */
function sizesOf({ layers }: DecoderModel): { size: number; keySize: number } {
  const { query, keyValue } = layers[0]!.attention;
  return { size: query[0]!.rows, keySize: keyValue?.key.rows ?? query[0]!.rows };
}

/** Bytes of the cache of one token. */
export const cacheBytes = (model: DecoderModel): number =>
  model.layers.reduce((sum, { attention }) => sum + (attention.keyValue ? 8 : 4) * padded(sizesOf(model).keySize), 0);

/** Lays out the parts of layers. */
class Packer {
  constructor(
    private readonly arena: Arena,
    private readonly float: boolean,
    private readonly hidden: number,
  ) {}

  matrix(source: Weight): PackedMatrix {
    const kind = this.float ? "float" : "stored" in source ? kindOfStored(source.stored, source.columns) : "rows";
    return this.arena.matrix(source, kind, () => source);
  }

  private matrices(sources: readonly Weight[]): PackedMatrix[] {
    return sources.map((source) => this.matrix(source));
  }

  private bias(values: Float32Array | undefined): number {
    return values ? this.arena.floats(values, padded(this.hidden)) : 0;
  }

  private routing(source: Routing, input: readonly Weight[]): PackedRouting {
    if (source.kind === "none") return source;
    if (source.kind === "learned") {
      const { router, top, over = "all" } = source;
      // a router without a layer between decides by small differences: its weights stay as they are
      const output = router.input
        ? this.matrix(router.output)
        : this.arena.matrix(router.output, "float", () => router.output);
      return { kind: "learned", input: router.input && this.matrix(router.input), output, top, over };
    }
    const gate = { rows: input.length, columns: this.hidden };
    return { kind: "average", gate: this.arena.matrix(gate, "float", () => meanRows(input)), top: source.top };
  }

  attention(part: AttentionModules): Omit<PackedAttention, "keys" | "values"> {
    const { keyValue } = part;
    return {
      norm: this.arena.norm(part.norm),
      routing: this.routing(part.routing, part.query),
      query: this.matrices(part.query),
      output: this.matrices(part.output),
      ...(keyValue && { keyValue: { key: this.matrix(keyValue.key), value: this.matrix(keyValue.value) } }),
      softmax: part.softmax && this.softmax(part.softmax),
      bias: this.bias(part.bias),
    };
  }

  private softmax({ keyValueHeads, scale, rotary, queryNorm, keyNorm }: SoftmaxAttention): PackedSoftmax {
    return {
      keyValueHeads,
      scale,
      rotary,
      queryNorm: queryNorm && this.arena.norm(queryNorm),
      keyNorm: keyNorm && this.arena.norm(keyNorm),
    };
  }

  feedforward({ norm, routing, input, gate, output, shared, bias }: FeedforwardModules): PackedFeedforward {
    return {
      norm: this.arena.norm(norm),
      routing: this.routing(routing, input),
      input: this.matrices(input),
      gate: gate && this.matrices(gate),
      output: this.matrices(output),
      shared: shared && {
        input: this.matrix(shared.input),
        gate: this.matrix(shared.gate),
        output: this.matrix(shared.output),
        weight: shared.weight && this.matrix(shared.weight),
      },
      bias: this.bias(bias),
    };
  }
}

function scratchOf(model: DecoderModel, cache: CacheSize): Scratch {
  const arena = new Arena();
  const tops = (source: Routing): number => (source.kind === "none" ? 1 : source.top);
  const most = (of: (layer: DecoderModel["layers"][number]) => number): number => Math.max(...model.layers.map(of));
  /** Components of all modules of one token. */
  const wide = ({ routing, input, shared }: FeedforwardModules): number =>
    Math.max(tops(routing) * padded(input[0]!.rows), shared ? padded(shared.input.rows) : 0);
  const found = most(({ attention }) => tops(attention.routing) * padded(attention.query[0]!.rows));
  const wides = most(({ feedforward }) => wide(feedforward));
  const inner = Math.max(found, wides);
  const gates = model.layers.some(({ feedforward }) => feedforward.gate) ? wides : 0;
  const gate = most((layer) =>
    Math.max(
      ...[layer.attention, layer.feedforward].map(({ routing }) =>
        routing.kind === "learned" ? padded(routing.router.input?.rows ?? 0) : 0,
      ),
    ),
  );
  const modules = most(({ attention, feedforward }) => Math.max(attention.query.length, feedforward.input.length));
  const pairs =
    passTokens * most(({ attention, feedforward }) => Math.max(tops(attention.routing), tops(feedforward.routing)));
  const vocabulary = padded(model.head.rows);
  const hidden = padded(model.hidden);
  const blocks = Math.ceil(model.context / cache.blockTokens);
  const softmax = model.layers.some(({ attention }) => attention.softmax);
  const places = padded(cache.blockTokens) * (softmax ? blocks : 1);
  const queries = Math.min(24, Math.max(2, Math.floor(scoreBytes / (4 * places))));
  const turned = most(({ attention }) => attention.softmax?.rotary?.frequencies.length ?? 0);
  const at = {
    trunk: arena.take(4 * passTokens * hidden),
    normed: arena.take(4 * passTokens * hidden),
    // numbers of 16 bits, and behind them the sum of every 16 of them
    quantised: arena.take(2.25 * passTokens * Math.max(hidden, gate, inner)),
    digits: arena.take((digits.bytes / 32) * passTokens * Math.max(hidden, gate, inner)),
    gate: arena.take(4 * passTokens * gate),
    router: arena.take(4 * passTokens * padded(modules)),
    inner: arena.take(4 * passTokens * inner),
    gates: arena.take(4 * passTokens * gates),
    found: arena.take(4 * passTokens * found),
    angles: arena.take(4 * passTokens * 2 * turned),
    inputs: arena.take(4 * pairs),
    inputScales: arena.take(4 * pairs),
    outputs: arena.take(4 * pairs),
    table: arena.take(4 * passTokens * blocks),
    scores: arena.take(4 * places * (softmax ? queries : 1)),
    logits: arena.take(4 * logitTokens * vocabulary),
    powers: arena.take(4 * vocabulary),
  };
  return { tokens: passTokens, logitTokens, queries, places, blocks, at, bytes: arena.bytes };
}

/** The mean row of each matrix: the gate of emergent experts (avg-k). */
function meanRows(matrices: readonly Weight[]): Matrix {
  const columns = matrices[0]!.columns;
  const values = new Float32Array(matrices.length * columns);
  for (const [m, matrix] of matrices.entries()) {
    const rows = dequantise(loaded(matrix));
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let row = 0; row < matrix.rows; row++) sum += rows[row * columns + column]!;
      values[m * columns + column] = sum / matrix.rows;
    }
  }
  return { rows: matrices.length, columns, values };
}
