import { limitOf, placeOf, type StickShape } from "./attention-tiled.js";
import { counts, type Kernel, kernel, type Numbers, rowThreads } from "./kernel.js";

const slices = (size: number): number => Math.ceil(size / rowThreads);

/**
 * Stick-breaking attention of single rows over a paged cache, as in decoding; see `stickPrefill`. Keys are visited in
 * chunks of 64 from the newest to the oldest until the stick is used up. `singles` are tokens.
 * Dispatch: singles · top × heads.
 */
export function stickDecode(shape: StickShape): Kernel {
  const { heads, size, top, current, least, values = "f32" } = shape;
  const width = heads * size;
  return kernel(
    `stick-decode-${JSON.stringify(shape)}`,
    {
      singles: "u32",
      text: "u32",
      positions: "u32",
      blocks: "u32",
      q: values,
      cache: values,
      y: `out ${values}`,
    },
    `${placeOf(shape)}
var<workgroup> query: array<f32, ${size}>;
var<workgroup> logits: array<f32, ${rowThreads}>;
var<workgroup> costs: array<f32, ${rowThreads}>;
var<workgroup> places: array<u32, ${rowThreads}>;
var<workgroup> left: u32;
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let token = singles[group.x / ${top}u];
  let row = token * ${top}u + group.x % ${top}u;
  let head = group.y;
  let sequence = text[token];
  for (var i = thread; i < ${size}u; i += ${rowThreads}u) {
    query[i] = f32(q[row * ${width}u + head * ${size}u + i]) / sqrt(${size}.0);
  }
  // keys 0 … end − 1 remain
  var end = positions[token]${current ? " + 1u" : ""};
  var spent = 0.0;
  var sums: array<f32, ${slices(size)}>;
  loop {
    if (thread == 0u) { left = select(0u, end, spent < ${limitOf(least)}); }
    if (workgroupUniformLoad(&left) == 0u) { break; }
    let here = min(${rowThreads}u, end);
    var logit = 0.0;
    if (thread < here) {
      let at = place_of(sequence, end - 1u - thread) * ${2 * width}u + head * ${size}u;
      for (var i = 0u; i < ${size}u; i++) { logit += query[i] * f32(cache[at + i]); }
      places[thread] = at + ${width}u;
    }
    logits[thread] = logit;
    costs[thread] = max(logit, 0.0) + log(1.0 + exp(-abs(logit)));
    workgroupBarrier();
    for (var j = 0u; j < here; j++) {
      spent += costs[j];
      let weight = exp(logits[j] - spent);
      for (var s = 0u; s < ${slices(size)}u; s++) {
        let i = s * ${rowThreads}u + thread;
        if (i < ${size}u) { sums[s] += weight * f32(cache[places[j] + i]); }
      }
    }
    end -= here;
    workgroupBarrier();
  }
  for (var s = 0u; s < ${slices(size)}u; s++) {
    let i = s * ${rowThreads}u + thread;
    if (i < ${size}u) { y[row * ${width}u + head * ${size}u + i] = ${values}(sums[s]); }
  }
}`,
  );
}

/** Writes keys and values of new tokens to their places; x [tokens, width], from column 0 and from column `value`. Dispatch: tokens. */
export const storeKeyValue = (
  size: number,
  columns: { width: number; value: number },
  paging: { blockTokens: number; stride: number },
  values: Numbers = "f32",
): Kernel =>
  kernel(
    `store-${size}-${JSON.stringify(columns)}-${JSON.stringify(paging)}-${values}`,
    { counts: "u32", text: "u32", positions: "u32", blocks: "u32", x: values, cache: `out ${values}` },
    `${placeOf(paging)}
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.tokens}]) { return; }
  let place = place_of(text[group.x], positions[group.x]) * ${2 * size}u;
  for (var i = thread; i < ${size}u; i += ${rowThreads}u) {
    cache[place + i] = x[group.x * ${columns.width}u + i];
    cache[place + ${size}u + i] = x[group.x * ${columns.width}u + ${columns.value}u + i];
  }
}`,
  );
