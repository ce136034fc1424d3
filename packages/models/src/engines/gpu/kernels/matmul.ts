// internal
import { type Count, counts, type Kernel, kernel } from "./kernel.js";

/** "gated": rows of W alternate between gate and up, and the output is silu(gate) ⊙ up, half as wide. */
export type Activation = "none" | "gelu-tanh" | "gelu-erf" | "gated";

export interface MatmulShape {
  readonly inputs: number;
  readonly outputs: number;
  readonly rows: Count;
  readonly weights?: "f32" | "f16";
  readonly bias?: boolean;
  readonly activation?: Activation;
  /** Adds to what is in `y` instead of replacing it. */
  readonly residual?: boolean;
  /** Experts: a row is a place (token, choice); `top` choices a token; the input has one row a token, or one a place. */
  readonly grouped?: { readonly top: number; readonly input: "token" | "place" };
}

/** Rows and columns of y that one workgroup of 8 × 8 threads computes, 4 × 4 each. */
export const tile = 32;
const depth = 16;

const activations: Record<Activation, string> = {
  none: "return z;",
  gated: "return z / (1.0 + exp(-z));",
  // beyond ±10 the tanh is ±1, and some drivers overflow in it
  "gelu-tanh": "return 0.5 * z * (1.0 + tanh(clamp(0.7978845608028654 * (z + 0.044715 * z * z * z), -10.0, 10.0)));",
  // Φ by the series of erf where |z| is small, else by the continued fraction's fit of Numerical Recipes (erfcc, 1.2e-7)
  "gelu-erf": `
    let v = abs(z) * 0.7071067811865476;
    if (v < 1.0) {
      var term = v; var sum = v;
      for (var n = 1; n < 14; n++) { term *= -v * v / f32(n); sum += term / f32(2 * n + 1); }
      return 0.5 * z * (1.0 + sign(z) * 1.1283791670955126 * sum);
    }
    let t = 1.0 / (1.0 + 0.5 * v);
    let erfc = t * exp(-v * v - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
      + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
    return 0.5 * z * select(erfc, 2.0 - erfc, z > 0.0);`,
};

/**
 * y = activation(x Wᵀ + bias), or y += that; x [rows, inputs], W [outputs, inputs], sums in fp32.
 * Grouped: W [experts, outputs, inputs], and each tile of rows belongs to one expert, as `expertTiles` laid them out.
 * Dispatch: ⌈rows / tile⌉ × ⌈outputs / tile⌉, or indirectly by the tiles that there are.
 */
export function matmul(shape: MatmulShape): Kernel {
  const {
    inputs,
    outputs,
    rows,
    weights = "f32",
    bias = false,
    activation = "none",
    residual = false,
    grouped,
  } = shape;
  const width = activation === "gated" ? outputs / 2 : outputs;
  const write = (value: string, column: string): string =>
    `{ let at = place[r] * ${width}u + ${column}; ${residual ? `y[at] = y[at] + ${value}` : `y[at] = ${value}`}; }`;
  const z = (c: string): string => `(sums[r * 4u + ${c}]${bias ? ` + bias[column + ${c}]` : ""})`;
  const epilogue =
    activation === "gated"
      ? `for (var c = 0u; c < 4u; c += 2u) { if (column + c < ${outputs}u) ${write(`activate(${z("c")}) * ${z("c + 1u")}`, "(column + c) / 2u")} }`
      : `for (var c = 0u; c < 4u; c++) { if (column + c < ${outputs}u) ${write(`activate(${z("c")})`, "column + c")} }`;
  const rowOf = grouped
    ? `let expert = tiles[group.x * 3u]; let first = tiles[group.x * 3u + 1u]; let last = tiles[group.x * 3u + 2u];
       let base = expert * ${outputs * inputs}u;`
    : `let first = group.x * ${tile}u; let last = counts[${counts[rows]}]; let base = 0u;`;
  const place = (row: string): string => (grouped ? `order[${row}]` : row);
  const source = (row: string): string =>
    grouped && grouped.input === "token" ? `(${place(row)} / ${grouped.top}u)` : place(row);
  return kernel(
    `matmul-${inputs}-${outputs}-${rows}-${weights}-${bias}-${activation}-${residual}-${JSON.stringify(grouped ?? "")}`,
    {
      ...(grouped ? { tiles: "u32", order: "u32" } : { counts: "u32" }),
      x: "f32",
      w: weights,
      ...(bias ? { bias: "f32" } : {}),
      y: "out f32",
    },
    `
fn activate(z: f32) -> f32 { ${activations[activation]} }
var<workgroup> xs: array<f32, ${tile * depth}>;
var<workgroup> ws: array<f32, ${tile * depth}>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  ${rowOf}
  let row = first + (thread / 8u) * 4u;
  let column = group.y * ${tile}u + (thread % 8u) * 4u;
  var sums: array<f32, 16>;
  for (var k = 0u; k < ${inputs}u; k += ${depth}u) {
    for (var i = thread; i < ${tile * depth}u; i += 64u) {
      let r = first + i / ${depth}u;
      let c = k + i % ${depth}u;
      let o = group.y * ${tile}u + i / ${depth}u;
      xs[i] = 0.0; ws[i] = 0.0;
      if (r < last && c < ${inputs}u) { xs[i] = x[${source("r")} * ${inputs}u + c]; }
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
  var place: array<u32, 4>;
  for (var r = 0u; r < 4u; r++) {
    if (row + r < last) {
      place[r] = ${place("row + r")};
      ${epilogue}
    }
  }
}`,
  );
}
