import type { Rotary } from "../../architectures/decoder.js";
import type { DecoderBatch, DecoderResult, ModuleCounts } from "../engine.js";
import { type Kernels, kernels } from "./kernels.js";
import { nextToken } from "./next-token.js";
import { padded, unpackRow } from "./pack-weights.js";
import type {
  PackedAttention,
  PackedFeedforward,
  PackedMatrix,
  PackedModel,
  PackedNorm,
  PackedRouting,
  PackedShared,
  PackedSoftmax,
  Scratch,
} from "./packed.js";
import { type Inputs, Products, type Rows } from "./products.js";
import { attendQueries } from "./softmax-attention.js";
import type { TeamMember } from "./team.js";
import type { SharedMemory } from "./wasm.js";

/** A module that was chosen for a token of the pass. */
interface Choice {
  readonly token: number;
  readonly module: number;
  readonly weight: number;
}

/** Tokens of a tile: a team gives each member whole ones. */
const tile = 4;

/** A token of a pass, and where it stands. */
interface Place {
  readonly sequence: number;
  /** Its number among all tokens of its sequence. */
  readonly position: number;
  readonly id: number;
  /** The number of its place in the cache. */
  readonly cache: number;
}

export class StoppedError extends Error {}

/**
 * Computes a decoder in one thread: up to `scratch.tokens` tokens at a time go through the layers. What a token gets
 * does not depend on the others of its pass: its sums run over columns, modules and keys in an order of their own.
 *
 * Threads may compute one step as a team. Where a pass has tokens for all, each takes some of them and they meet once a layer,
 * when keys and values are there. Where it has fewer, each computes some rows of every product in the scratch of the first
 * thread, and they meet after each. The numbers are the same, to the bit.
 */
export class DecoderThread {
  private readonly kernels: Kernels;
  private readonly products: Products;
  private readonly floats: Float32Array;
  private readonly integers: Int32Array;
  private readonly scratch: Scratch;
  /** Where this thread works; in a pass whose products are divided, what is made of them lies with the first thread. */
  private at: Scratch["at"];
  private readonly own: Scratch["at"];
  private readonly shared: Scratch["at"];
  private team: TeamMember | undefined;
  /** Whether the team divides products, not tokens. */
  private divided = false;
  private readonly width: number;
  private readonly size: number;
  private readonly keySize: number;
  private counts: ModuleCounts | undefined;
  /** Where the numbers of the blocks of each sequence of the pass lie. */
  private readonly tables = new Map<number, number>();
  /** The rotation whose angles lie in the scratch. */
  private turned: Rotary | undefined;

  /** @param stopped Asked between layers: true ends the step with a StoppedError. */
  constructor(
    private readonly model: PackedModel,
    private readonly memory: SharedMemory,
    thread: number,
    private readonly stopped: () => boolean = () => false,
  ) {
    this.kernels = kernels(memory);
    this.floats = new Float32Array(memory.buffer);
    this.integers = new Int32Array(memory.buffer);
    this.scratch = model.scratch;
    const placed = (from: number): Scratch["at"] =>
      Object.fromEntries(
        Object.entries(model.scratch.at).map(([name, address]) => [name, from + address]),
      ) as Scratch["at"];
    const { trunk, inner, gates, found, logits } = placed(model.threads[0]!);
    this.own = placed(model.threads[thread]!);
    this.shared = { ...this.own, trunk, inner, gates, found, logits };
    this.at = this.own;
    this.products = new Products(model, this.kernels, this.floats, this.integers, this.own);
    this.width = padded(model.hidden);
    this.size = padded(model.size);
    this.keySize = padded(model.keySize);
  }

  /**
   * As `DecoderSession.step`, for a batch that was checked. A member of a team gives what fell to it: where another one drew,
   * `next` is −1; scores of others' tokens are 0.
   */
  step(batch: DecoderBatch, team?: TeamMember): DecoderResult {
    this.team = team;
    const { ids, offsets, cached, blocks, sampling, scored } = batch;
    const { blockTokens, layers } = this.model;
    const counters = (kind: "attention" | "feedforward"): Uint32Array[] =>
      layers.map((layer) => new Uint32Array(layer[kind].output.length));
    this.counts = batch.counted
      ? { attention: counters("attention"), feedforward: counters("feedforward") }
      : undefined;
    const next = new Int32Array(cached.length).fill(-1);
    const logprob = new Float32Array(cached.length);
    const alternatives: { id: number; logprob: number }[][] = [];
    const scores =
      cached.length > 0
        ? Array.from(cached, (_, i) => (scored?.[i] ? new Float32Array(offsets[i + 1]! - offsets[i]! - 1) : undefined))
        : [];
    let pass: Place[] = [];
    const flush = (): void => {
      pass = this.divide(pass);
      this.layers(pass, blocks);
      const wanted = pass.flatMap((place, row) => {
        const { sequence, position } = place;
        const last = position === cached[sequence]! + offsets[sequence + 1]! - offsets[sequence]! - 1;
        return (last && sampling[sequence]) || (!last && scores[sequence]) ? [{ ...place, row, last }] : [];
      });
      for (let from = 0; from < wanted.length; from += this.scratch.logitTokens) {
        const some = wanted.slice(from, from + this.scratch.logitTokens);
        this.logits(some.map(({ row }) => row));
        if (this.divided) team!.meet();
        for (const [i, { sequence, position, last }] of this.isFirst ? some.entries() : []) {
          const logits = this.logitsOf(i);
          if (last) {
            const { drawn, alternatives: others } = this.draw(logits, sampling[sequence]!);
            next[sequence] = drawn.id;
            logprob[sequence] = drawn.logprob;
            if (sampling[sequence]!.alternatives) alternatives[sequence] = [...others];
          } else {
            const place = position - cached[sequence]!;
            scores[sequence]![place] = this.score(logits, ids[offsets[sequence]! + place + 1]!);
          }
        }
        if (this.divided) team!.meet();
      }
      pass = [];
    };
    for (let sequence = 0; sequence < cached.length; sequence++)
      for (let i = offsets[sequence]!; i < offsets[sequence + 1]!; i++) {
        const position = cached[sequence]! + i - offsets[sequence]!;
        const block = blocks[sequence]![Math.floor(position / blockTokens)]!;
        pass.push({ sequence, position, id: ids[i]!, cache: block * blockTokens + (position % blockTokens) });
        if (pass.length === this.scratch.tokens * (team?.size ?? 1)) flush();
      }
    if (pass.length > 0) flush();
    return { next, logprob, alternatives, scores, modules: this.counts };
  }

  /** Whether this thread does what is done once. */
  private get isFirst(): boolean {
    return !this.divided || this.team!.rank === 0;
  }

  /** The tokens of a pass that this thread computes: all where products are divided. */
  private divide(pass: Place[]): Place[] {
    const { team } = this;
    this.divided = team !== undefined && pass.length < tile * team.size;
    this.at = this.divided ? this.shared : this.own;
    this.products.divide(this.divided ? team : undefined);
    if (!team || this.divided) return pass;
    const { from, to } = team.part(Math.ceil(pass.length / tile));
    return pass.slice(from * tile, to * tile);
  }

  /** Waits for the others where products are divided. */
  private meet(): void {
    if (this.divided) this.team!.meet();
  }

  private layers(pass: readonly Place[], blocks: readonly Int32Array[]): void {
    const { embedding, layers, multipliers } = this.model;
    for (const [row, { id }] of this.isFirst ? pass.entries() : []) {
      const trunk = this.view(this.at.trunk + 4 * this.width * row, this.width);
      unpackRow(this.memory.buffer, embedding, id, trunk);
      if (multipliers.embedding !== 1) for (let i = 0; i < trunk.length; i++) trunk[i]! *= multipliers.embedding;
    }
    this.meet();
    this.turned = undefined;
    this.tables.clear();
    for (const { sequence } of pass) {
      if (this.tables.has(sequence)) continue;
      const table = this.at.table + 4 * this.scratch.blocks * this.tables.size;
      this.integers.set(blocks[sequence]!.subarray(0, this.scratch.blocks), table / 4);
      this.tables.set(sequence, table);
    }
    for (const [layer, { attention, feedforward }] of layers.entries()) {
      if (this.stopped()) throw new StoppedError();
      const counts = this.isFirst ? this.counts : undefined;
      count(this.attention(attention, pass), counts?.attention[layer]);
      count(this.feedforward(feedforward, pass.length), counts?.feedforward[layer]);
    }
  }

  private attention(part: PackedAttention, pass: readonly Place[]): readonly Choice[] {
    const { at, size } = this;
    const normed = this.normed(part.norm, pass.length);
    const inputs = this.products.prepare(normed, this.width, pass.length);
    const choices = this.route(part.routing, pass.length, inputs);
    const rows = Array.from(pass.keys());
    const cacheOf = (base: number): number[] => pass.map(({ cache }) => base + 4 * this.keySize * cache);
    if (part.keyValue)
      for (const [matrix, base] of [
        [part.keyValue.key, part.keys],
        [part.keyValue.value, part.values],
      ] as const)
        this.products.multiply(matrix, inputs, rows, cacheOf(base));
    else
      for (const [row, address] of cacheOf(part.keys).entries())
        this.view(address, size).set(this.view(normed.address + normed.stride * row, size));

    const queries: Rows = { address: at.inner, stride: 4 * size };
    this.byModule(choices, (chosen, pairs) =>
      this.products.multiply(
        part.query[chosen[0]!.module]!,
        inputs,
        chosen.map(({ token }) => token),
        pairs.map((pair) => queries.address + queries.stride * pair),
      ),
    );
    const found: Rows = { address: at.found, stride: 4 * size };
    this.view(found.address, size * choices.length).fill(0);
    if (part.softmax) this.prepareHeads(part, part.softmax, pass, choices);
    // now keys and values of all are there
    this.team?.meet();
    if (part.softmax) this.attendSoftmax(part, part.softmax, pass, choices);
    else this.attendSticks(part, pass, choices);
    this.meet();
    this.add(part.output, choices, found, size, part.bias);
    return choices;
  }

  /** Stick-breaking attention of the queries of all choices, into `found`. */
  private attendSticks(part: PackedAttention, pass: readonly Place[], choices: readonly Choice[]): void {
    const { model, at, size } = this;
    const bytes = (4 * model.size) / model.heads;
    const { from, to } = this.headsOf(model.heads);
    for (const [pair, { token }] of choices.entries()) {
      const { sequence, position } = pass[token]!;
      const visible = position + (model.attendsCurrent ? 1 : 0);
      if (visible === 0) continue;
      for (let head = from * bytes; head < to * bytes; head += bytes)
        this.kernels.attend(
          at.inner + 4 * size * pair + head,
          part.keys + head,
          part.values + head,
          at.found + 4 * size * pair + head,
          at.scores,
          bytes,
          4 * size,
          this.tables.get(sequence)!,
          model.blockTokens,
          visible,
          1 / Math.sqrt(bytes / 4),
        );
    }
  }

  /** The heads that this thread attends. */
  private headsOf(count: number): { readonly from: number; readonly to: number } {
    return this.divided ? this.team!.part(count) : { from: 0, to: count };
  }

  /** Norms and turns the new keys and the queries. */
  private prepareHeads(
    part: PackedAttention,
    softmax: PackedSoftmax,
    pass: readonly Place[],
    choices: readonly Choice[],
  ): void {
    const { model, at, size, keySize, kernels } = this;
    const { keyValueHeads, queryNorm, keyNorm, rotary } = softmax;
    // norms may go over all heads, so where the rows were divided one thread does it when all are there
    this.meet();
    if (!this.isFirst) return;
    const bytes = (4 * model.size) / model.heads;
    const angles = rotary && this.angles(rotary, pass);
    const half = rotary ? 4 * rotary.frequencies.length : 0;
    const prepare = (address: number, length: number, norm: PackedNorm | undefined, token: number): void => {
      if (norm)
        for (let from = 0; from < length; from += 4 * norm.width)
          kernels.normaliseRms(address + from, norm.weight, address + from, norm.width, norm.width, norm.epsilon);
      if (angles !== undefined)
        for (let head = 0; head < length; head += bytes)
          kernels.rotate(address + head, angles + 2 * half * token, half);
    };
    for (const [token, { cache }] of pass.entries())
      prepare(part.keys + 4 * keySize * cache, bytes * keyValueHeads, keyNorm, token);
    for (const [pair, { token }] of choices.entries())
      prepare(at.inner + 4 * size * pair, 4 * model.size, queryNorm, token);
  }

  /** softmax(scale · q kᵀ) v of the queries of all choices, into `found`. */
  private attendSoftmax(
    part: PackedAttention,
    { keyValueHeads, scale }: PackedSoftmax,
    pass: readonly Place[],
    choices: readonly Choice[],
  ): void {
    const { model, at, size, keySize, kernels, scratch } = this;
    const bytes = (4 * model.size) / model.heads;
    const group = model.heads / keyValueHeads;
    const room = { kernels, floats: this.floats, scores: at.scores, room: 4 * scratch.places };
    const { from, to } = this.headsOf(keyValueHeads);
    for (let shared = from; shared < to; shared++) {
      const [keys, values] = [part.keys + shared * bytes, part.values + shared * bytes];
      const head = { keys, values, bytes, stride: 4 * keySize, blockTokens: model.blockTokens };
      const queries = choices.flatMap(({ token }, pair) => {
        const { sequence, position } = pass[token]!;
        return Array.from({ length: group }, (_, head) => {
          const place = 4 * size * pair + (shared * group + head) * bytes;
          const table = this.tables.get(sequence)!;
          return { from: at.inner + place, to: at.found + place, visible: position + 1, table };
        });
      });
      for (let first = 0; first < queries.length; first += scratch.queries)
        attendQueries(queries.slice(first, first + scratch.queries), head, scale, room);
    }
  }

  /** Cosines and sines of every token of the pass; they are made once for all layers that turn alike. */
  private angles(rotary: Rotary, pass: readonly Place[]): number {
    if (this.turned === rotary) return this.at.angles;
    this.turned = rotary;
    const { frequencies, factor } = rotary;
    const half = frequencies.length;
    for (const [token, { position }] of pass.entries()) {
      const room = this.view(this.at.angles + 8 * half * token, 2 * half);
      for (let i = 0; i < half; i++) {
        const angle = position * frequencies[i]!;
        room[i] = Math.cos(angle) * factor;
        room[half + i] = Math.sin(angle) * factor;
      }
    }
    return this.at.angles;
  }

  private feedforward(part: PackedFeedforward, count: number): readonly Choice[] {
    const inputs = this.products.prepare(this.normed(part.norm, count), this.width, count);
    const choices = this.route(part.routing, count, inputs);
    const width = padded(part.input[0]!.rows);
    const inner: Rows = { address: this.at.inner, stride: 4 * width };
    const gates: Rows = { address: this.at.gates, stride: 4 * width };
    this.byModule(choices, (chosen, pairs) => {
      const multiply = (matrix: PackedMatrix, outputs: Rows): void =>
        this.products.multiply(
          matrix,
          inputs,
          chosen.map(({ token }) => token),
          pairs.map((pair) => outputs.address + outputs.stride * pair),
        );
      const { module } = chosen[0]!;
      multiply(part.input[module]!, inner);
      if (part.gate) multiply(part.gate[module]!, gates);
    });
    const kind = part.input[0]!;
    this.ownComponents(kind, choices.length, (from, length) => {
      if (part.gate) this.kernels.siluGate(gates.address + from, inner.address + from, length);
      else this.kernels.geluTanh(inner.address + from, length);
    });
    this.meet();
    const shared = part.shared && this.sharedWeights(part.shared, inputs, count);
    this.add(part.output, choices, inner, width, part.bias);
    if (part.shared) this.addShared(part.shared, inputs, shared!);
    return choices;
  }

  /** Calls `work` for what this thread computed of the rows of a product: bytes from the first row on, and components. */
  private ownComponents(matrix: PackedMatrix, count: number, work: (from: number, length: number) => void): void {
    const width = padded(matrix.rows);
    const { from, to } = this.products.rowsOf(matrix);
    if (to - from === width) work(0, width * count);
    else if (to > from) for (let row = 0; row < count; row++) work(4 * (width * row + from), to - from);
  }

  /** How much the part that all tokens share counts for each of them. */
  private sharedWeights({ weight }: PackedShared, inputs: Inputs, count: number): number[] {
    const rows = Array.from({ length: count }, (_, row) => row);
    if (!weight) return rows.map(() => 1);
    const stride = 4 * padded(1);
    // the router's room is free by now; its rows are as wide or wider
    const outputs = rows.map((row) => this.at.router + stride * row);
    this.products.multiply(weight, inputs, rows, outputs, { whole: true });
    return outputs.map((address) => 1 / (1 + Math.exp(-this.floats[address / 4]!)));
  }

  private addShared({ input, gate, output }: PackedShared, inputs: Inputs, weights: readonly number[]): void {
    const count = weights.length;
    const width = padded(input.rows);
    const rows = Array.from({ length: count }, (_, row) => row);
    for (const [matrix, to] of [
      [input, this.at.inner],
      [gate, this.at.gates],
    ] as const)
      this.products.multiply(
        matrix,
        inputs,
        rows,
        rows.map((row) => to + 4 * width * row),
      );
    this.ownComponents(input, count, (from, length) =>
      this.kernels.siluGate(this.at.gates + from, this.at.inner + from, length),
    );
    this.meet();
    const choices = weights.map((weight, token) => ({ token, module: 0, weight }));
    this.add([output], choices, { address: this.at.inner, stride: 4 * width }, width, 0);
  }

  /** trunk += residual · (weight · output_e (row) + bias), for the row of each choice; the bias once a token. */
  private add(
    output: readonly PackedMatrix[],
    choices: readonly Choice[],
    rows: Rows,
    width: number,
    bias: number,
  ): void {
    const { residual } = this.model.multipliers;
    const inputs = this.products.prepare(rows, width, choices.length);
    this.byModule(choices, (chosen, pairs) =>
      this.products.multiply(
        output[chosen[0]!.module]!,
        inputs,
        pairs,
        chosen.map(({ token }) => this.at.trunk + 4 * this.width * token),
        { rates: chosen.map(({ weight }) => weight * residual), accumulate: true },
      ),
    );
    if (bias !== 0) {
      const values = this.view(bias, this.width);
      const { from, to } = this.products.rowsOf(output[0]!);
      for (const token of new Set(choices.map((choice) => choice.token))) {
        const trunk = this.view(this.at.trunk + 4 * this.width * token, this.width);
        for (let i = from; i < to; i++) trunk[i]! += residual * values[i]!;
      }
    }
    this.meet();
  }

  private normed(norm: PackedNorm, count: number): Rows {
    const { trunk, normed } = this.at;
    const stride = 4 * this.width;
    for (let row = 0; row < count; row++) this.normalise(norm, trunk + stride * row, normed + stride * row);
    return { address: normed, stride };
  }

  private normalise({ kind, weight, bias, epsilon, width }: PackedNorm, from: number, to: number): void {
    if (kind === "rms") this.kernels.normaliseRms(from, weight, to, width, this.width, epsilon);
    else this.kernels.normalise(from, weight, bias, to, width, this.width, epsilon);
  }

  /** The choices of all tokens, token by token; within a token modules rise. */
  private route(routing: PackedRouting, count: number, inputs: Inputs): Choice[] {
    if (routing.kind === "none") return Array.from({ length: count }, (_, token) => ({ token, module: 0, weight: 1 }));
    const modules = (routing.kind === "learned" ? routing.output : routing.gate).rows;
    const stride = 4 * padded(modules);
    const rows = Array.from({ length: count }, (_, row) => row);
    const outputs = rows.map((row) => this.at.router + stride * row);
    const whole = { whole: true };
    if (routing.kind === "average") this.products.multiply(routing.gate, inputs, rows, outputs, whole);
    else if (!routing.input) this.products.multiply(routing.output, inputs, rows, outputs, whole);
    else {
      const width = padded(routing.input.rows);
      const gate: Rows = { address: this.at.gate, stride: 4 * width };
      this.products.multiply(
        routing.input,
        inputs,
        rows,
        rows.map((row) => gate.address + gate.stride * row),
        whole,
      );
      this.kernels.geluErf(gate.address, width * count);
      this.products.multiply(routing.output, this.products.prepare(gate, width, count), rows, outputs, whole);
    }
    return outputs.flatMap((address, token) => choose(this.view(address, modules), routing, token));
  }

  /** Calls `work` for each module that was chosen, rising, with its choices and their numbers. */
  private byModule(
    choices: readonly Choice[],
    work: (chosen: readonly Choice[], pairs: readonly number[]) => void,
  ): void {
    const groups = new Map<number, number[]>();
    for (const [pair, { module }] of choices.entries()) {
      const group = groups.get(module);
      if (group) group.push(pair);
      else groups.set(module, [pair]);
    }
    for (const [, pairs] of [...groups].sort(([a], [b]) => a - b))
      work(
        pairs.map((pair) => choices[pair]!),
        pairs,
      );
  }

  /** The logits after the tokens in these rows of the trunk. */
  private logits(rows: readonly number[]): void {
    const { trunk, normed, logits } = this.at;
    const { norm, head, multipliers } = this.model;
    const stride = 4 * this.width;
    for (const [i, row] of rows.entries()) this.normalise(norm, trunk + stride * row, normed + stride * i);
    const inputs = this.products.prepare({ address: normed, stride }, this.width, rows.length);
    const places = Array.from(rows.keys());
    this.products.multiply(
      head,
      inputs,
      places,
      places.map((i) => logits + 4 * padded(head.rows) * i),
      { rates: places.map(() => multipliers.logits) },
    );
  }

  private logitsOf(i: number): Float32Array {
    const length = padded(this.model.head.rows);
    const logits = this.view(this.at.logits + 4 * length * i, length);
    logits.fill(Number.NEGATIVE_INFINITY, this.model.head.rows);
    return logits;
  }

  private draw(logits: Float32Array, sampling: Parameters<typeof nextToken>[2]): ReturnType<typeof nextToken> {
    const powers = this.view(this.at.powers, logits.length);
    return nextToken(this.kernels, { logits, powers }, sampling);
  }

  private score(logits: Float32Array, id: number): number {
    const peak = this.kernels.largest(logits.byteOffset, logits.length);
    return (
      logits[id]! - peak - Math.log(this.kernels.powers(logits.byteOffset, this.at.powers, logits.length, peak, 1))
    );
  }

  private view(address: number, length: number): Float32Array {
    return this.floats.subarray(address / 4, address / 4 + length);
  }
}

function count(choices: readonly Choice[], into: Uint32Array | undefined): void {
  if (into) for (const { module } of choices) into[module]! += 1;
}

/** The `top` best of one token, equal ones to the lower index, then by index; "learned" weighs by softmax over all. */
function choose(scores: Float32Array, routing: Exclude<PackedRouting, { kind: "none" }>, token: number): Choice[] {
  const best: number[] = [];
  for (let module = 0; module < scores.length; module++) {
    if (best.length === routing.top && !(scores[module]! > scores[best.at(-1)!]!)) continue;
    let place = best.length;
    while (place > 0 && scores[module]! > scores[best[place - 1]!]!) place--;
    best.splice(place, 0, module);
    if (best.length > routing.top) best.pop();
  }
  const modules = best.sort((a, b) => a - b);
  if (routing.kind === "average") return modules.map((module) => ({ token, module, weight: 1 }));
  const all =
    routing.kind === "learned" && routing.over === "chosen" ? modules.map((module) => scores[module]!) : scores;
  let peak = Number.NEGATIVE_INFINITY;
  for (const score of all) peak = Math.max(peak, score);
  let sum = 0;
  for (const score of all) sum += Math.exp(score - peak);
  return modules.map((module) => ({ token, module, weight: Math.exp(scores[module]! - peak) / sum }));
}
