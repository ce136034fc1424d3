import { type Count, counts, type Kernel, kernel, rowThreads, workgroupScan, workgroupSum } from "./kernel.js";

/**
 * At a checkpoint of the margin policy: every text that is still computed gets its vector here as its result and `layer` as
 * its exit, and leaves (keep 0) where the cosine with the checkpoint before is at least 1 − margin. Dispatch: texts.
 */
export const decide = (hidden: number, layer: number, first: boolean): Kernel =>
  kernel(
    `decide-${hidden}-${layer}-${first}`,
    {
      counts: "u32",
      margin: "f32",
      origin: "u32",
      vectors: "f32",
      results: "out f32",
      exits: "out u32",
      keep: "out u32",
    },
    `${workgroupSum}
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let inside = group.x < counts[${counts.texts}];
  let text = origin[min(group.x, arrayLength(&origin) - 1u)];
  var dot = 0.0;
  for (var i = thread; i < ${hidden}u; i += ${rowThreads}u) {
    if (inside) {
      let value = vectors[group.x * ${hidden}u + i];
      ${first ? "" : `dot += value * results[text * ${hidden}u + i];`}
      results[text * ${hidden}u + i] = value;
    }
  }
  let cosine = workgroup_sum(thread, dot);
  if (inside && thread == 0u) {
    exits[text] = ${layer}u;
    keep[group.x] = ${first ? "select(1u, 0u, margin[0] > 2.0)" : "select(1u, 0u, cosine >= 1.0 - margin[0])"};
  }
}`,
  );

/** The size of a dispatch that follows a checkpoint: ⌈tokens or texts / every⌉ × `across`. */
export interface DispatchShape {
  readonly rows: Exclude<Count, "drawn">;
  readonly every: number;
  readonly across: number;
}

/**
 * New offsets, origins and counts of the texts that stay, where their rows were, and the sizes of the dispatches that
 * follow, which are read on the device. Dispatch: 1.
 */
export const compact = (shapes: readonly DispatchShape[]): Kernel =>
  kernel(
    `compact-${JSON.stringify(shapes)}`,
    {
      keep: "u32",
      offsets: "u32",
      origin: "u32",
      counts: "out u32",
      newOffsets: "out u32",
      newOrigin: "out u32",
      starts: "out u32",
      dispatch: "out u32",
    },
    `${workgroupScan}
var<workgroup> before: u32;
@compute @workgroup_size(${rowThreads})
fn main(@builtin(local_invocation_index) thread: u32) {
  if (thread == 0u) { before = counts[${counts.texts}]; newOffsets[0] = 0u; }
  let all = workgroupUniformLoad(&before);
  var texts = 0u;
  var tokens = 0u;
  for (var chunk = 0u; chunk < all; chunk += ${rowThreads}u) {
    let i = min(chunk + thread, all - 1u);
    let stays = select(0u, keep[i], chunk + thread < all);
    let length = stays * (offsets[i + 1u] - offsets[i]);
    let places = workgroup_scan(thread, stays);
    let ends = workgroup_scan(thread, length);
    if (stays == 1u) {
      let to = texts + places.before;
      newOrigin[to] = origin[i];
      starts[to] = offsets[i];
      newOffsets[to + 1u] = tokens + ends.before + length;
    }
    texts += places.all;
    tokens += ends.all;
  }
  if (thread == 0u) {
    counts[${counts.tokens}] = tokens;
    counts[${counts.texts}] = texts;
${shapes
  .map(
    ({ rows, every, across }, i) =>
      `    dispatch[${3 * i}] = (${rows} + ${every - 1}u) / ${every}u; dispatch[${3 * i + 1}] = ${across}u; dispatch[${3 * i + 2}] = 1u;`,
  )
  .join("\n")}
  }
}`,
  );

/** Moves the rows of the texts that stay. Dispatch: texts. */
export const moveRows = (hidden: number): Kernel =>
  kernel(
    `move-${hidden}`,
    { counts: "u32", offsets: "u32", starts: "u32", x: "f32", y: "out f32", text: "out u32" },
    `
@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= counts[${counts.texts}]) { return; }
  let first = offsets[group.x];
  let last = offsets[group.x + 1u];
  for (var t = first + thread; t < last; t += ${rowThreads}u) { text[t] = group.x; }
  for (var i = thread; i < (last - first) * ${hidden}u; i += ${rowThreads}u) {
    y[first * ${hidden}u + i] = x[starts[group.x] * ${hidden}u + i];
  }
}`,
  );
