import { counts, groupedRows, type Kernel, kernel, type Numbers, rowThreads, workgroupScan } from "./kernel.js";

/**
 * The `top` best modules of each token, best first, equal ones to the lower index. "learned": their softmax over all
 * modules, not renormalised; "average" (avg-k): weight 1. Dispatch: ⌈tokens / 64⌉.
 */
export const router = (experts: number, top: number, kind: "learned" | "average"): Kernel =>
  kernel(
    `router-${experts}-${top}-${kind}`,
    { counts: "u32", logits: "f32", chosen: "out u32", weights: "out f32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x;
  if (token >= counts[${counts.tokens}]) { return; }
  let row = token * ${experts}u;
  var most = -3.0e38;
  for (var e = 0u; e < ${experts}u; e++) { most = max(most, logits[row + e]); }
  var total = 0.0;
  for (var e = 0u; e < ${experts}u; e++) { total += exp(logits[row + e] - most); }
  var bound = 3.0e38;
  var before = 0u;
  for (var j = 0u; j < ${top}u; j++) {
    var best = -3.0e38;
    var choice = 0u;
    var found = false;
    for (var e = 0u; e < ${experts}u; e++) {
      let z = logits[row + e];
      let open = j == 0u || z < bound || (z == bound && e > before);
      if (open && (!found || z > best)) { best = z; choice = e; found = true; }
    }
    chosen[token * ${top}u + j] = choice;
    weights[token * ${top}u + j] = ${kind === "learned" ? "exp(best - most) / total" : "1.0"};
    bound = best;
    before = choice;
  }
}`,
  );

/** How many places each expert has, added to `histogram`. Dispatch: ⌈places / 64⌉. */
export const expertHistogram = (top: number): Kernel =>
  kernel(
    `histogram-${top}`,
    { counts: "u32", chosen: "u32", histogram: "atomic u32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < counts[${counts.tokens}] * ${top}u) { atomicAdd(&histogram[chosen[id.x]], 1u); }
}`,
  );

/**
 * Where each expert's places begin, the tiles of rows (expert, first, last), and the sizes of the indirect dispatches of
 * the grouped products that follow, one for each number of column tiles. Dispatch: 1.
 */
export const expertTiles = (experts: number, columnTiles: readonly number[]): Kernel =>
  kernel(
    `tiles-${experts}-${columnTiles.join("-")}`,
    { histogram: "u32", cursors: "out u32", tiles: "out u32", dispatch: "out u32" },
    `${workgroupScan}
@compute @workgroup_size(${rowThreads})
fn main(@builtin(local_invocation_index) thread: u32) {
  var start = 0u;
  var count = 0u;
  for (var chunk = 0u; chunk < ${experts}u; chunk += ${rowThreads}u) {
    let e = chunk + thread;
    let here = select(0u, histogram[min(e, ${experts - 1}u)], e < ${experts}u);
    let places = workgroup_scan(thread, here);
    let parts = workgroup_scan(thread, (here + ${groupedRows - 1}u) / ${groupedRows}u);
    let first = start + places.before;
    if (e < ${experts}u) { cursors[e] = first; }
    for (var i = 0u; i * ${groupedRows}u < here; i++) {
      let at = (count + parts.before + i) * 3u;
      tiles[at] = e;
      tiles[at + 1u] = first + i * ${groupedRows}u;
      tiles[at + 2u] = min(first + (i + 1u) * ${groupedRows}u, first + here);
    }
    start += places.all;
    count += parts.all;
  }
  if (thread == 0u) {
${columnTiles.map((columns, i) => `    dispatch[${3 * i}] = count; dispatch[${3 * i + 1}] = ${columns}u; dispatch[${3 * i + 2}] = 1u;`).join("\n")}
  }
}`,
  );

/** The places sorted by expert; their order within an expert is free, no result depends on it. Dispatch: ⌈places / 64⌉. */
export const expertScatter = (top: number): Kernel =>
  kernel(
    `scatter-${top}`,
    { counts: "u32", chosen: "u32", cursors: "atomic u32", order: "out u32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < counts[${counts.tokens}] * ${top}u) { order[atomicAdd(&cursors[chosen[id.x]], 1u)] = id.x; }
}`,
  );

/** x[token] += Σ_j weights[token, j] · y[token, j], in the order of the choices. Dispatch: tokens. */
export const combine = (hidden: number, top: number, from: Numbers = "f32"): Kernel =>
  kernel(
    `combine-${hidden}-${top}-${from}`,
    { counts: "u32", weights: "f32", y: from, x: "out f32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.tokens}]) { return; }
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) {
    var sum = 0.0;
    for (var j = 0u; j < ${top}u; j++) {
      sum += weights[group.x * ${top}u + j] * f32(y[(group.x * ${top}u + j) * ${hidden}u + i]);
    }
    x[group.x * ${hidden}u + i] += sum;
  }
}`,
  );
