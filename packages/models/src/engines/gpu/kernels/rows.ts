import type { Norm } from "../../../architectures/encoder.js";
import { type Count, counts, type Kernel, kernel, type Numbers, rowThreads, workgroupSum } from "./kernel.js";

/** x[t] = table[ids[t]]. Dispatch: tokens. */
export const embedding = (hidden: number, weights: Numbers = "f32"): Kernel =>
  kernel(
    `embedding-${hidden}-${weights}`,
    { counts: "u32", ids: "u32", table: weights, x: "out f32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.tokens}]) { return; }
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) {
    x[group.x * ${hidden}u + i] = f32(table[ids[group.x] * ${hidden}u + i]);
  }
}`,
  );

/** RMSNorm or LayerNorm of each row. Dispatch: rows. */
export function norm(
  hidden: number,
  { kind, epsilon, bias }: Pick<Norm, "kind" | "epsilon" | "bias">,
  rows: Count,
  to: Numbers = "f32",
): Kernel {
  return kernel(
    `norm-${hidden}-${kind}-${epsilon}-${bias !== undefined}-${rows}-${to}`,
    { counts: "u32", x: "f32", weight: "f32", ...(bias ? { bias: "f32" } : {}), y: `out ${to}` },
    `${workgroupSum}
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x * ${hidden}u;
  let inside = group.x < counts[${counts[rows]}];
  var sum = 0.0;
  var squares = 0.0;
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) { if (inside) { sum += x[row + i]; } }
  let mean = ${kind === "rms" ? "0.0 * " : ""}workgroup_sum(thread, sum) / ${hidden}.0;
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) {
    if (inside) { let centred = x[row + i] - mean; squares += centred * centred; }
  }
  let scale = 1.0 / sqrt(workgroup_sum(thread, squares) / ${hidden}.0 + ${epsilon.toExponential()});
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) {
    if (inside) { y[row + i] = ${to}((x[row + i] - mean) * scale * weight[i]${bias ? " + bias[i]" : ""}); }
  }
}`,
  );
}

/**
 * Rotary position embedding, half-split, in place on the first `heads` heads of rows of `width`; `angles` holds cos and
 * sin for each position and component pair. Dispatch: tokens.
 */
export const rope = (width: number, heads: number, size: number, values: Numbers = "f32"): Kernel =>
  kernel(
    `rope-${width}-${heads}-${size}-${values}`,
    { counts: "u32", text: "u32", offsets: "u32", angles: "f32", x: `out ${values}` },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.tokens}]) { return; }
  let position = group.x - offsets[text[group.x]];
  for (var i = thread; i < ${(heads * size) / 2}u; i += ${rowThreads}u) {
    let j = i % ${size / 2}u;
    let at = group.x * ${width}u + (i / ${size / 2}u) * ${size}u + j;
    let c = angles[(position * ${size / 2}u + j) * 2u];
    let s = angles[(position * ${size / 2}u + j) * 2u + 1u];
    let a = f32(x[at]);
    let b = f32(x[at + ${size / 2}u]);
    x[at] = ${values}(a * c - b * s);
    x[at + ${size / 2}u] = ${values}(b * c + a * s);
  }
}`,
  );

/** One row a text: the mean of its rows, or its last. Dispatch: texts. */
export const pool = (hidden: number, pooling: "mean" | "last", from: Numbers = "f32", to: Numbers = "f32"): Kernel =>
  kernel(
    `pool-${hidden}-${pooling}-${from}-${to}`,
    { counts: "u32", offsets: "u32", x: from, y: `out ${to}` },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.texts}]) { return; }
  let last = offsets[group.x + 1u];
  let first = ${pooling === "mean" ? "offsets[group.x]" : "last - 1u"};
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) {
    var sum = 0.0;
    for (var t = first; t < last; t++) { sum += f32(x[t * ${hidden}u + i]); }
    y[group.x * ${hidden}u + i] = ${to}(sum / f32(last - first));
  }
}`,
  );

/** Rows at unit length; a row of zeros stays zero. Dispatch: texts. */
export const unitRows = (hidden: number): Kernel =>
  kernel(
    `unit-${hidden}`,
    { counts: "u32", x: "f32", y: "out f32" },
    `${workgroupSum}
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x * ${hidden}u;
  let inside = group.x < counts[${counts.texts}];
  var squares = 0.0;
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) { if (inside) { squares += x[row + i] * x[row + i]; } }
  let length = max(sqrt(workgroup_sum(thread, squares)), 1e-12);
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) { if (inside) { y[row + i] = x[row + i] / length; } }
}`,
  );
