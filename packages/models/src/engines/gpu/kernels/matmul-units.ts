import { groupedRows, kernel } from "./kernel.js";
import { columnsAtOnce, matmulParts } from "./matmul-parts.js";
import type { Matmul, MatmulShape } from "./matmul-shape.js";

/** A kind of fragment that a device's matrix units multiply: fp16 [m, k] times [k, n], summed in fp32 [m, n]. */
export interface MatrixUnits {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Threads of a subgroup. */
  readonly subgroup: number;
  /** Fragments by ordinary arithmetic: the same tiles, loads and stores without the units, for devices that lack them. */
  readonly emulated?: boolean;
}

/** Subgroups of a workgroup. */
const subgroups = 8;
const columns = 128;
/** Numbers of x and W in workgroup memory for each row and column, and the gap that spreads rows over its banks. */
const depth = 32;
const stride = depth + 8;
/** Workgroups that fill a large GPU; where large tiles make fewer, the tiles are small. */
const manyWorkgroups = 128;

/** Workgroup memory of the largest tiles, with fragments of 16 × 16. */
export const unitsWorkgroupBytes = 2 * 2 * 128 * stride + 4 * subgroups * 16 * 16;

/** Whether tiles divide into these fragments. */
export const fits = ({ m, n, k }: MatrixUnits): boolean => 16 % m === 0 && 16 % n === 0 && depth % k === 0;

/**
 * A product on the matrix units: eight subgroups compute 128 × 128 numbers, 32 × 64 each, or 32 × 128, 32 × 16 each,
 * from fp16 tiles in workgroup memory. Sums leave by way of workgroup memory, a fragment at a time, since only there can
 * bias, activation and residual reach their elements. The module has no other subgroup operation: NVIDIA's driver 595
 * crashes on modules that mix them with matrices.
 */
export function unitsMatmul(shape: MatmulShape, rows: number, units: MatrixUnits): Matmul {
  const { inputs, outputs, grouped, from = "f32", weights = "f32" } = shape;
  const large = !grouped && Math.ceil(rows / 128) * Math.ceil(outputs / columns) >= manyWorkgroups;
  const tileRows = large ? 128 : groupedRows;
  const across = large ? 2 : 8;
  const parts = matmulParts(shape, true);
  const { m, n, subgroup } = units;
  const threads = subgroups * subgroup;
  const [down, over] = [32 / m, columns / across / n];
  const fragments = down * over;
  const made = units.emulated ? emulated(units, down, over) : onUnits(units, down, over);
  const step = columnsAtOnce(shape);
  // four numbers at a time, zero beyond the rows, columns and depth that there are
  const fill = (what: "x" | "w", many: number, inside: string, at: string): string => `
    for (var i = thread; i < ${(many * depth) / 4}u; i += ${threads}u) {
      let r = i / ${depth / 4}u;
      let c = k + (i % ${depth / 4}u) * 4u;
      var four = vec4<${what === "x" ? from : weights}>();
      if (c < ${inputs}u && ${inside}) { four = ${what}[(${at} + c) / 4u]; }
      let to = r * ${stride}u + (i % ${depth / 4}u) * 4u;
      ${[0, 1, 2, 3].map((j) => `${what}s[to + ${j}u] = four[${j}];`).join(" ")}
    }`;
  return {
    rows: tileRows,
    columns,
    kernel: kernel(
      `matmul-units-${JSON.stringify(units)}-${tileRows}-${parts.name}`,
      parts.buffers,
      `${parts.functions}
var<workgroup> xs: array<${from}, ${tileRows * stride}>;
var<workgroup> ws: array<${weights}, ${columns * stride}>;
var<workgroup> leaving: array<f32, ${subgroups * m * n}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32${made.builtin}) {
  ${parts.rowsOf(tileRows)}
  ${made.subgroup}
  let row = (part / ${across}u) * 32u;
  let column = (part % ${across}u) * ${columns / across}u;
  ${made.sums}
  for (var k = 0u; k < ${inputs}u; k += ${depth}u) {
    ${fill("x", tileRows, "first + r < last", `source_of(first + r) * ${inputs}u`)}
    ${fill("w", columns, `group.y * ${columns}u + r < ${outputs}u`, `base + (group.y * ${columns}u + r) * ${inputs}u`)}
    workgroupBarrier();
    for (var d = 0u; d < min(${depth}u, ${inputs}u - k); d += ${units.k}u) {
      ${made.multiply}
    }
    workgroupBarrier();
  }
  for (var f = 0u; f < ${fragments}u; f++) {
    ${made.leave("f")}
    workgroupBarrier();
    let r = f / ${over}u;
    let c = f % ${over}u;
    for (var i = thread * ${step}u; i < ${subgroups * m * n}u; i += ${threads * step}u) {
      let from_part = i / ${m * n}u;
      let at_row = first + (from_part / ${across}u) * 32u + r * ${m}u + (i % ${m * n}u) / ${n}u;
      let at_column = group.y * ${columns}u + (from_part % ${across}u) * ${columns / across}u + c * ${n}u + i % ${n}u;
      if (at_row < last && at_column < ${outputs}u) {
        write_out(place_of(at_row), at_column, leaving[i], leaving[i + ${step - 1}u]);
      }
    }
    workgroupBarrier();
  }
}`,
      made.extensions,
    ),
  };
}

/** How fragments are declared, multiplied and stored. */
interface Fragments {
  readonly extensions: readonly string[];
  readonly builtin: string;
  /** A statement that sets `part`, the number of this thread's subgroup. */
  readonly subgroup: string;
  /** Declares the sums of `down` × `across` fragments. */
  readonly sums: string;
  /** Adds the products of the fragments at depth `d`, from `row` and `column` on. */
  readonly multiply: string;
  /** Puts one fragment of sums into `leaving`. */
  readonly leave: (fragment: string) => string;
}

/** Sums are variables of their own: an array of them would be indexed in memory. */
function onUnits({ m, n, k }: MatrixUnits, down: number, across: number): Fragments {
  const over = (many: number, text: (i: number) => string): string =>
    Array.from({ length: many }, (_, i) => text(i)).join("\n      ");
  const load = (side: string, columns: number, rows: number, order: string, from: string, at: string): string =>
    `subgroupMatrixLoad<subgroup_matrix_${side}<f16, ${columns}, ${rows}>, ${order}>(&${from}, (${at}) * ${stride}u + d, ${stride}u);`;
  const fragments = down * across;
  return {
    extensions: ["subgroups", "chromium_experimental_subgroup_matrix"],
    builtin: ", @builtin(subgroup_id) part: u32",
    subgroup: "",
    sums: over(fragments, (f) => `var sum_${f}: subgroup_matrix_result<f32, ${n}, ${m}>;`),
    multiply: [
      over(down, (r) => `let left_${r} = ${load("left", k, m, "row_major", "xs", `row + ${r * m}u`)}`),
      over(across, (c) => `let right_${c} = ${load("right", n, k, "col_major", "ws", `column + ${c * n}u`)}`),
      over(fragments, (f) => {
        const [left, right] = [`left_${Math.floor(f / across)}`, `right_${f % across}`];
        return `sum_${f} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, sum_${f});`;
      }),
    ].join("\n      "),
    leave: (fragment) => `switch ${fragment} {
      ${over(fragments, (f) => `${f === fragments - 1 ? "default" : `case ${f}u`}: { subgroupMatrixStore<row_major>(&leaving, part * ${m * n}u, sum_${f}, ${n}u); }`)}
    }`,
  };
}

/** Each thread keeps every `subgroup`-th element of each fragment of sums; left and right stay in workgroup memory. */
function emulated({ m, n, k, subgroup }: MatrixUnits, down: number, across: number): Fragments {
  const own = Math.ceil((m * n) / subgroup);
  const element = `i * ${subgroup}u + thread % ${subgroup}u`;
  return {
    extensions: [],
    builtin: "",
    subgroup: `let part = thread / ${subgroup}u;`,
    sums: `var sums: array<f32, ${down * across * own}>;`,
    multiply: `
      for (var at = 0u; at < ${down * across * own}u; at++) {
        let f = at / ${own}u;
        let i = at % ${own}u;
        let e = ${element};
        let left = (row + (f / ${across}u) * ${m}u + e / ${n}u) * ${stride}u + d;
        let right = (column + (f % ${across}u) * ${n}u + e % ${n}u) * ${stride}u + d;
        for (var j = 0u; j < ${k}u; j++) { sums[at] += f32(xs[left + j]) * f32(ws[right + j]); }
      }`,
    leave: (fragment) =>
      `for (var i = 0u; i < ${own}u; i++) { leaving[part * ${m * n}u + ${element}] = sums[${fragment} * ${own}u + i]; }`,
  };
}
