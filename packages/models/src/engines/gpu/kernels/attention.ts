// internal
import { counts, type Kernel, kernel, rowThreads } from "./kernel.js";

const slices = (size: number): number => Math.ceil(size / rowThreads);

/**
 * softmax(q kᵀ / sqrt(s)) v within each text of a token-packed batch, by the running maximum (Milakov and Gimelshein 2018).
 * `x` holds q, k and v of a token beside each other, y [tokens, heads · size]. Dispatch: tokens × heads.
 */
export function softmaxAttention(heads: number, keyValueHeads: number, size: number): Kernel {
  const width = (heads + 2 * keyValueHeads) * size;
  return kernel(
    `softmax-${heads}-${keyValueHeads}-${size}`,
    { counts: "u32", text: "u32", offsets: "u32", x: "f32", y: "out f32" },
    `
var<workgroup> query: array<f32, ${size}>;
var<workgroup> scores: array<f32, ${rowThreads}>;
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let token = min(group.x, max(counts[${counts.tokens}], 1u) - 1u);
  let head = group.y;
  let shared_head = head / ${heads / keyValueHeads}u;
  let first = offsets[text[token]];
  let last = offsets[text[token] + 1u];
  for (var i = thread; i < ${size}u; i += ${rowThreads}u) {
    query[i] = x[token * ${width}u + head * ${size}u + i] / sqrt(${size}.0);
  }
  var most = -3.0e38;
  var total = 0.0;
  var sums: array<f32, ${slices(size)}>;
  for (var chunk = 0u; chunk < workgroup_length(first, last, thread); chunk += ${rowThreads}u) {
    workgroupBarrier();
    let key = first + chunk + thread;
    var score = -3.0e38;
    if (key < last) {
      score = 0.0;
      let at = key * ${width}u + (${heads}u + shared_head) * ${size}u;
      for (var i = 0u; i < ${size}u; i++) { score += query[i] * x[at + i]; }
    }
    scores[thread] = score;
    workgroupBarrier();
    let here = min(${rowThreads}u, last - first - chunk);
    var peak = most;
    for (var j = 0u; j < here; j++) { peak = max(peak, scores[j]); }
    let shrink = exp(most - peak);
    most = peak;
    total *= shrink;
    for (var s = 0u; s < ${slices(size)}u; s++) { sums[s] *= shrink; }
    for (var j = 0u; j < here; j++) {
      let weight = exp(scores[j] - most);
      total += weight;
      let at = (first + chunk + j) * ${width}u + (${heads + keyValueHeads}u + shared_head) * ${size}u;
      for (var s = 0u; s < ${slices(size)}u; s++) {
        let i = s * ${rowThreads}u + thread;
        if (i < ${size}u) { sums[s] += weight * x[at + i]; }
      }
    }
  }
  if (group.x < counts[${counts.tokens}]) {
    for (var s = 0u; s < ${slices(size)}u; s++) {
      let i = s * ${rowThreads}u + thread;
      if (i < ${size}u) { y[(token * ${heads}u + head) * ${size}u + i] = sums[s] / total; }
    }
  }
}
var<workgroup> length: u32;
fn workgroup_length(first: u32, last: u32, thread: u32) -> u32 {
  if (thread == 0u) { length = last - first; }
  return workgroupUniformLoad(&length);
}`,
  );
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
}

/**
 * Stick-breaking attention over a paged cache, for pieces of prompts and for single tokens alike: keys are visited from
 * the newest to the oldest in chunks, carrying only the log of the remaining stick, and the visit ends when it is used up.
 * a_ij = exp(l_ij − Σ_{j ≤ m ≤ i} softplus(l_im)). Cache [place, 2 · heads · size]: key, then value.
 * Dispatch: tokens · top × heads.
 */
export function stickAttention(shape: StickShape): Kernel {
  const { heads, size, top, blockTokens, stride, current, least } = shape;
  const width = heads * size;
  return kernel(
    `stick-${JSON.stringify(shape)}`,
    { counts: "u32", text: "u32", positions: "u32", blocks: "u32", q: "f32", cache: "f32", y: "out f32" },
    `
var<workgroup> query: array<f32, ${size}>;
var<workgroup> logits: array<f32, ${rowThreads}>;
var<workgroup> costs: array<f32, ${rowThreads}>;
var<workgroup> left: u32;
fn place_of(sequence: u32, position: u32) -> u32 {
  return blocks[sequence * ${stride}u + position / ${blockTokens}u] * ${blockTokens}u + position % ${blockTokens}u;
}
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let rows = max(counts[${counts.tokens}] * ${top}u, 1u);
  let row = min(group.x, rows - 1u);
  let token = row / ${top}u;
  let head = group.y;
  let sequence = text[token];
  for (var i = thread; i < ${size}u; i += ${rowThreads}u) {
    query[i] = q[row * ${width}u + head * ${size}u + i] / sqrt(${size}.0);
  }
  // keys 0 … end − 1 remain
  var end = positions[token]${current ? " + 1u" : ""};
  var spent = 0.0;
  var sums: array<f32, ${slices(size)}>;
  loop {
    if (thread == 0u) { left = select(0u, end, spent < ${(-Math.log(least)).toFixed(6)}); }
    if (workgroupUniformLoad(&left) == 0u) { break; }
    let here = min(${rowThreads}u, end);
    var logit = 0.0;
    var cost = 0.0;
    if (thread < here) {
      let at = place_of(sequence, end - 1u - thread) * ${2 * width}u + head * ${size}u;
      for (var i = 0u; i < ${size}u; i++) { logit += query[i] * cache[at + i]; }
      cost = max(logit, 0.0) + log(1.0 + exp(-abs(logit)));
    }
    logits[thread] = logit;
    costs[thread] = cost;
    workgroupBarrier();
    for (var j = 0u; j < here; j++) {
      spent += costs[j];
      let weight = exp(logits[j] - spent);
      let at = place_of(sequence, end - 1u - j) * ${2 * width}u + ${width}u + head * ${size}u;
      for (var s = 0u; s < ${slices(size)}u; s++) {
        let i = s * ${rowThreads}u + thread;
        if (i < ${size}u) { sums[s] += weight * cache[at + i]; }
      }
    }
    end -= here;
    workgroupBarrier();
  }
  if (group.x < counts[${counts.tokens}] * ${top}u) {
    for (var s = 0u; s < ${slices(size)}u; s++) {
      let i = s * ${rowThreads}u + thread;
      if (i < ${size}u) { y[row * ${width}u + head * ${size}u + i] = sums[s]; }
    }
  }
}`,
  );
}

/** Writes keys and values of new tokens to their places; x [tokens, width], from column `key` and from column `value`. Dispatch: tokens. */
export const storeKeyValue = (
  size: number,
  columns: { width: number; value: number },
  paging: { blockTokens: number; stride: number },
): Kernel =>
  kernel(
    `store-${size}-${JSON.stringify(columns)}-${JSON.stringify(paging)}`,
    { counts: "u32", text: "u32", positions: "u32", blocks: "u32", x: "f32", cache: "out f32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.tokens}]) { return; }
  let position = positions[group.x];
  let block = blocks[text[group.x] * ${paging.stride}u + position / ${paging.blockTokens}u];
  let place = (block * ${paging.blockTokens}u + position % ${paging.blockTokens}u) * ${2 * size}u;
  for (var i = thread; i < ${size}u; i += ${rowThreads}u) {
    cache[place + i] = x[group.x * ${columns.width}u + i];
    cache[place + ${size}u + i] = x[group.x * ${columns.width}u + ${columns.value}u + i];
  }
}`,
  );
