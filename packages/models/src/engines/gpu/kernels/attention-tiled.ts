import { counts, type Kernel, kernel, type Numbers } from "./kernel.js";

/** Queries, keys and columns of values that a workgroup of 8 × 8 threads handles at a time, 4 × 4 each. */
export const attentionTile = 32;
const depth = 16;

/** What differs between kinds of attention; all else is one skeleton. */
interface Attention {
  readonly name: string;
  readonly buffers: Parameters<typeof kernel>[1];
  readonly size: number;
  /** Functions: `query_at(row, i)`, `key_at(key, i)`, `value_at(key, i)` are numbers; `out_at(row)` is where y's row begins. */
  readonly functions: string;
  /** Statements: the rows `first` … `last` − 1 of this workgroup, and its keys `lowest` … `highest` − 1. */
  readonly bounds: string;
  /** Whether keys are visited from the highest to the lowest. */
  readonly newestFirst: boolean;
  /** Statements of one thread for its row: scores[row][j] of keys from `start` become weights; \`shrink\` scales earlier sums. */
  readonly weigh: string;
  /** The state of a row, carried from block to block. */
  readonly state: string;
  /** An expression: whether this thread's row needs no further keys. */
  readonly done: string;
  /** An expression that divides the sums at the end. */
  readonly divide: string;
  readonly to: Numbers;
}

/**
 * Attention of 32 queries at a time (Dao et al. 2022): scores of a block of 32 keys, weights row by row with a running
 * state, and the weighted sums of values; nothing of the size of queries × keys leaves the workgroup. Dispatch: tiles × heads.
 */
function tiledAttention(attention: Attention): Kernel {
  const { size, weigh, state, newestFirst } = attention;
  const slices = Math.ceil(size / attentionTile);
  const tile = attentionTile;
  return kernel(
    attention.name,
    attention.buffers,
    `${attention.functions}
var<workgroup> queries: array<f32, ${tile * depth}>;
var<workgroup> keys: array<f32, ${tile * depth}>;
var<workgroup> values: array<f32, ${tile * tile}>;
var<workgroup> scores: array<f32, ${tile * (tile + 1)}>;
var<workgroup> shrinks: array<f32, ${tile}>;
var<workgroup> divisors: array<f32, ${tile}>;
var<workgroup> open: atomic<u32>;
var<workgroup> remaining: u32;
fn same(thread: u32, value: u32) -> u32 {
  workgroupBarrier();
  if (thread == 0u) { remaining = value; }
  return workgroupUniformLoad(&remaining);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  ${attention.bounds}
  let row = (thread / 8u) * 4u;
  let column = (thread % 8u) * 4u;
  ${state}
  var sums: array<f32, ${slices * 16}>;
  var dots: array<f32, 16>;
  let many = same(thread, select(0u, (highest - lowest + ${tile - 1}u) / ${tile}u, highest > lowest));
  for (var block = 0u; block < many; block++) {
    let start = lowest + ${newestFirst ? "(many - 1u - block)" : "block"} * ${tile}u;
    for (var i = 0u; i < 16u; i++) { dots[i] = 0.0; }
    for (var d = 0u; d < ${size}u; d += ${depth}u) {
      for (var i = thread; i < ${tile * depth}u; i += 64u) {
        let r = i / ${depth}u;
        let c = d + i % ${depth}u;
        queries[i] = 0.0; keys[i] = 0.0;
        if (c < ${size}u && first + r < last) { queries[i] = query_at(first + r, head, c) / sqrt(${size}.0); }
        if (c < ${size}u && start + r < highest) { keys[i] = key_at(start + r, head, c); }
      }
      workgroupBarrier();
      for (var i = 0u; i < ${depth}u; i++) {
        for (var r = 0u; r < 4u; r++) {
          let a = queries[(row + r) * ${depth}u + i];
          for (var c = 0u; c < 4u; c++) { dots[r * 4u + c] += a * keys[(column + c) * ${depth}u + i]; }
        }
      }
      workgroupBarrier();
    }
    for (var i = 0u; i < 16u; i++) { scores[(row + i / 4u) * ${tile + 1}u + column + i % 4u] = dots[i]; }
    if (thread == 0u) { atomicStore(&open, 0u); }
    workgroupBarrier();
    if (thread < ${tile}u) {
      let at = thread * ${tile + 1}u;
      var shrink = 1.0;
      ${weigh}
      shrinks[thread] = shrink;
      if (!(${attention.done})) { atomicAdd(&open, 1u); }
    }
    workgroupBarrier();
    for (var s = 0u; s < ${slices}u; s++) {
      for (var i = thread; i < ${tile * tile}u; i += 64u) {
        let c = s * ${tile}u + i % ${tile}u;
        values[i] = 0.0;
        if (c < ${size}u && start + i / ${tile}u < highest) { values[i] = value_at(start + i / ${tile}u, head, c); }
      }
      workgroupBarrier();
      for (var r = 0u; r < 4u; r++) {
        for (var c = 0u; c < 4u; c++) { sums[s * 16u + r * 4u + c] *= shrinks[row + r]; }
        for (var j = 0u; j < ${tile}u; j++) {
          let weight = scores[(row + r) * ${tile + 1}u + j];
          for (var c = 0u; c < 4u; c++) { sums[s * 16u + r * 4u + c] += weight * values[j * ${tile}u + column + c]; }
        }
      }
      workgroupBarrier();
    }
    if (same(thread, atomicLoad(&open)) == 0u) { break; }
  }
  if (thread < ${tile}u) { divisors[thread] = ${attention.divide}; }
  workgroupBarrier();
  for (var r = 0u; r < 4u; r++) {
    if (first + row + r >= last) { continue; }
    for (var s = 0u; s < ${slices}u; s++) {
      for (var c = 0u; c < 4u; c++) {
        let i = s * ${tile}u + column + c;
        if (i < ${size}u) {
          y[out_at(first + row + r, head) + i] = ${attention.to}(sums[s * 16u + r * 4u + c] / divisors[row + r]);
        }
      }
    }
  }
}`,
  );
}

/**
 * softmax(q kᵀ / sqrt(s)) v within each text of a token-packed batch, by the running maximum (Milakov and Gimelshein 2018).
 * `x` holds q, k and v of a token beside each other, y [tokens, heads · size]. Texts may share a tile: each query sees the
 * keys of its own. Dispatch: ⌈tokens / 32⌉ × heads.
 */
export function softmaxAttention(heads: number, keyValueHeads: number, size: number, values: Numbers = "f32"): Kernel {
  const width = (heads + 2 * keyValueHeads) * size;
  const shared = `(head / ${heads / keyValueHeads}u)`;
  return tiledAttention({
    name: `softmax-${heads}-${keyValueHeads}-${size}-${values}`,
    buffers: { counts: "u32", text: "u32", offsets: "u32", x: values, y: `out ${values}` },
    size,
    to: values,
    functions: `
fn query_at(row: u32, head: u32, i: u32) -> f32 { return f32(x[row * ${width}u + head * ${size}u + i]); }
fn key_at(key: u32, head: u32, i: u32) -> f32 { return f32(x[key * ${width}u + (${heads}u + ${shared}) * ${size}u + i]); }
fn value_at(key: u32, head: u32, i: u32) -> f32 {
  return f32(x[key * ${width}u + (${heads + keyValueHeads}u + ${shared}) * ${size}u + i]);
}
fn out_at(row: u32, head: u32) -> u32 { return (row * ${heads}u + head) * ${size}u; }`,
    bounds: `
  let last = counts[${counts.tokens}];
  let first = min(group.x * ${attentionTile}u, last);
  let end = max(min(first + ${attentionTile}u, last), 1u) - 1u;
  let lowest = select(0u, offsets[text[min(first, end)]], first < last);
  let highest = select(0u, offsets[text[end] + 1u], first < last);
  let own = min(first + thread % ${attentionTile}u, end);
  let own_first = offsets[text[own]];
  let own_last = offsets[text[own] + 1u];`,
    newestFirst: false,
    state: "var most = -3.0e38; var total = 0.0;",
    weigh: `
      var peak = most;
      for (var j = 0u; j < ${attentionTile}u; j++) {
        if (start + j >= own_first && start + j < own_last) { peak = max(peak, scores[at + j]); }
      }
      shrink = exp(most - peak);
      most = peak;
      total *= shrink;
      for (var j = 0u; j < ${attentionTile}u; j++) {
        var weight = 0.0;
        if (start + j >= own_first && start + j < own_last) { weight = exp(scores[at + j] - peak); }
        scores[at + j] = weight;
        total += weight;
      }`,
    done: `start + ${attentionTile}u >= own_last`,
    divide: "max(total, 1.0e-37)",
  });
}

export interface StickShape {
  readonly heads: number;
  readonly size: number;
  /** Modules a token asks: rows of q and y are (token, choice). */
  readonly top: number;
  readonly blockTokens: number;
  /** Blocks in a row of the table. */
  readonly stride: number;
  readonly current: boolean;
  /** Below this remainder of the stick older tokens are not read; their weights sum to less. */
  readonly least: number;
  readonly values?: Numbers;
}

/** Where a token's key and value lie in the paged cache [place, 2 · heads · size]: key, then value. */
export const placeOf = ({ stride, blockTokens }: Pick<StickShape, "stride" | "blockTokens">): string => `
fn place_of(sequence: u32, position: u32) -> u32 {
  return blocks[sequence * ${stride}u + position / ${blockTokens}u] * ${blockTokens}u + position % ${blockTokens}u;
}`;

/**
 * Stick-breaking attention (Tan et al. 2024) of pieces of prompts over a paged cache:
 * a_ij = exp(l_ij − Σ_{j ≤ m ≤ i} softplus(l_im)). Keys are visited from the newest to the oldest, each row carries only the
 * log of its remaining stick, and the visit ends when all 32 are used up. `pieces` are (sequence, first token, last token)
 * of at most ⌊32 / top⌋ tokens. Dispatch: pieces × heads.
 */
export function stickPrefill(shape: StickShape): Kernel {
  const { heads, size, top, current, least, values = "f32" } = shape;
  const width = heads * size;
  return tiledAttention({
    name: `stick-prefill-${JSON.stringify(shape)}`,
    buffers: { pieces: "u32", positions: "u32", blocks: "u32", q: values, cache: values, y: `out ${values}` },
    size,
    to: values,
    functions: `${placeOf(shape)}
var<private> sequence: u32;
fn query_at(row: u32, head: u32, i: u32) -> f32 { return f32(q[row * ${width}u + head * ${size}u + i]); }
fn key_at(key: u32, head: u32, i: u32) -> f32 {
  return f32(cache[place_of(sequence, key) * ${2 * width}u + head * ${size}u + i]);
}
fn value_at(key: u32, head: u32, i: u32) -> f32 {
  return f32(cache[place_of(sequence, key) * ${2 * width}u + ${width}u + head * ${size}u + i]);
}
fn out_at(row: u32, head: u32) -> u32 { return row * ${width}u + head * ${size}u; }`,
    bounds: `
  sequence = pieces[group.x * 3u];
  let first = pieces[group.x * 3u + 1u] * ${top}u;
  let last = pieces[group.x * 3u + 2u] * ${top}u;
  let lowest = 0u;
  let highest = positions[(last - 1u) / ${top}u]${current ? " + 1u" : ""};
  // this row's keys are those before \`end\`
  let end = positions[min(first + thread % ${attentionTile}u, last - 1u) / ${top}u]${current ? " + 1u" : ""};`,
    newestFirst: true,
    state: "var spent = 0.0;",
    weigh: `
      for (var i = ${attentionTile}u; i > 0u; i--) {
        let j = i - 1u;
        var weight = 0.0;
        if (start + j < end && spent < ${limitOf(least)}) {
          let logit = scores[at + j];
          spent += max(logit, 0.0) + log(1.0 + exp(-abs(logit)));
          weight = exp(logit - spent);
        }
        scores[at + j] = weight;
      }`,
    done: `spent >= ${limitOf(least)}`,
    divide: "1.0",
  });
}

/** What may be spent of the log of the stick. */
export const limitOf = (least: number): string => (-Math.log(least)).toFixed(6);
