import { groupedRows, kernel } from "./kernel.js";
import { columnsAtOnce, matmulParts } from "./matmul-parts.js";
import type { Matmul, MatmulShape } from "./matmul-shape.js";

const columns = 8;
const lanes = 8;

/**
 * A product for few rows, as in decoding, where reading W is the work: 8 threads share an output and read its weights in
 * turn, four numbers at a time, for `atOnce` rows of x together.
 */
export function fewRowsMatmul(shape: MatmulShape, atOnce: 1 | 4): Matmul {
  const { inputs, outputs } = shape;
  const vector = inputs % 4 === 0;
  const parts = matmulParts(shape, vector);
  const step = vector ? 4 : 1;
  const product = (r: number): string =>
    vector ? `dot(vec4f(x[at_${r} + i]), weight)` : `f32(x[at_${r} + i]) * weight`;
  const each = (text: (r: number) => string): string => Array.from({ length: atOnce }, (_, r) => text(r)).join("\n");
  return {
    rows: groupedRows,
    columns,
    kernel: kernel(
      `matmul-few-${atOnce}-${parts.name}`,
      parts.buffers,
      `${parts.functions}
var<workgroup> sums: array<f32, ${columns * lanes * atOnce}>;
@compute @workgroup_size(${columns * lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  ${parts.rowsOf(groupedRows)}
  let lane = thread % ${lanes}u;
  let output = min(group.y * ${columns}u + thread / ${lanes}u, ${outputs - 1}u);
  let weights = (base + output * ${inputs}u) / ${step}u;
  for (var chunk = 0u; chunk < ${groupedRows}u; chunk += ${atOnce}u) {
    if (chunk > 0u && workgroup_last(thread, first, last) <= chunk) { break; }
${each((r) => `    let at_${r} = source_of(min(first + chunk + ${r}u, max(last, 1u) - 1u)) * ${inputs / step}u; var sum_${r} = 0.0;`)}
    for (var i = lane; i < ${inputs / step}u; i += ${lanes}u) {
      let weight = ${vector ? "vec4f" : "f32"}(w[weights + i]);
${each((r) => `      sum_${r} += ${product(r)};`)}
    }
${each((r) => `    sums[${r * columns * lanes}u + thread] = sum_${r};`)}
    workgroupBarrier();
    for (var i = thread; i < ${columns * atOnce}u; i += ${columns * lanes}u) {
      let r = first + chunk + i / ${columns}u;
      let column = group.y * ${columns}u + i % ${columns}u;
      if (r < last && column < ${outputs}u && column % ${columnsAtOnce(shape)}u == 0u) {
        write_out(place_of(r), column, sum_of(i), sum_of(i + ${columnsAtOnce(shape) - 1}u));
      }
    }
    workgroupBarrier();
  }
}
fn sum_of(i: u32) -> f32 {
  let at = (i / ${columns}u) * ${columns * lanes}u + (i % ${columns}u) * ${lanes}u;
  var sum = 0.0;
  for (var lane = 0u; lane < ${lanes}u; lane++) { sum += sums[at + lane]; }
  return sum;
}
var<workgroup> length: u32;
fn workgroup_last(thread: u32, first: u32, last: u32) -> u32 {
  if (thread == 0u) { length = max(last, first) - first; }
  return workgroupUniformLoad(&length);
}`,
    ),
  };
}
