import { groupedRows, kernel } from "./kernel.js";
import { columnsAtOnce, matmulParts } from "./matmul-parts.js";
import type { Matmul, MatmulShape } from "./matmul-shape.js";

const tile = groupedRows;
const depth = 16;

/** A product by ordinary arithmetic, for any numbers and any shape: 8 × 8 threads compute a tile, 4 × 4 each. */
export function plainMatmul(shape: MatmulShape): Matmul {
  const { inputs, outputs } = shape;
  const parts = matmulParts(shape, false);
  const step = columnsAtOnce(shape);
  return {
    rows: tile,
    columns: tile,
    kernel: kernel(
      `matmul-plain-${parts.name}`,
      parts.buffers,
      `${parts.functions}
var<workgroup> xs: array<f32, ${tile * depth}>;
var<workgroup> ws: array<f32, ${tile * depth}>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  ${parts.rowsOf(tile)}
  let row = first + (thread / 8u) * 4u;
  let column = group.y * ${tile}u + (thread % 8u) * 4u;
  var sums: array<f32, 16>;
  for (var k = 0u; k < ${inputs}u; k += ${depth}u) {
    for (var i = thread; i < ${tile * depth}u; i += 64u) {
      let r = first + i / ${depth}u;
      let c = k + i % ${depth}u;
      let o = group.y * ${tile}u + i / ${depth}u;
      xs[i] = 0.0; ws[i] = 0.0;
      if (r < last && c < ${inputs}u) { xs[i] = f32(x[source_of(r) * ${inputs}u + c]); }
      if (o < ${outputs}u && c < ${inputs}u) { ws[i] = f32(w[base + o * ${inputs}u + c]); }
    }
    workgroupBarrier();
    for (var i = 0u; i < ${depth}u; i++) {
      for (var r = 0u; r < 4u; r++) {
        let a = xs[((thread / 8u) * 4u + r) * ${depth}u + i];
        for (var c = 0u; c < 4u; c++) { sums[r * 4u + c] += a * ws[((thread % 8u) * 4u + c) * ${depth}u + i]; }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    if (row + r >= last) { continue; }
    let place = place_of(row + r);
    for (var c = 0u; c < 4u; c += ${step}u) {
      if (column + c < ${outputs}u) { write_out(place, column + c, sums[r * 4u + c], sums[r * 4u + min(c + 1u, 3u)]); }
    }
  }
}`,
    ),
  };
}
