import { counts, type Numbers } from "./kernel.js";
import type { Activation, MatmulShape } from "./matmul-shape.js";

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

/** What every matrix product declares, whichever kernel computes it. */
interface MatmulParts {
  readonly buffers: Readonly<Record<string, Numbers | "u32" | `vec4<${Numbers}>` | `out ${Numbers}`>>;
  /** Functions: `source(row)` is x's row, `place(row)` is y's, `write_out(place, column, z, next)` writes y. */
  readonly functions: string;
  /** Statements: the rows `first` … `last` − 1 of this workgroup, and `base`, where its weights begin in W. */
  readonly rowsOf: (tileRows: number) => string;
  readonly name: string;
}

/** `vector`: x and W are read four numbers at a time. */
export function matmulParts(shape: MatmulShape, vector: boolean): MatmulParts {
  const { inputs, outputs, rows, weights = "f32", from = "f32", to = "f32", bias, residual, grouped } = shape;
  const activation = shape.activation ?? "none";
  const width = activation === "gated" ? outputs / 2 : outputs;
  const place = grouped ? "order[row]" : "row";
  const source = grouped?.input === "token" ? `(${place} / ${grouped.top}u)` : place;
  const sum = (value: string, column: string): string => (bias ? `${value} + bias[${column}]` : value);
  const value =
    activation === "gated"
      ? `activate(${sum("z", "column")}) * (${sum("next", "column + 1u")})`
      : `activate(${sum("z", "column")})`;
  const at = `place * ${width}u + ${activation === "gated" ? "column / 2u" : "column"}`;
  return {
    name: `${inputs}-${outputs}-${rows}-${weights}-${from}-${to}-${bias}-${activation}-${residual}-${JSON.stringify(grouped ?? "")}`,
    buffers: {
      ...(grouped ? { tiles: "u32", order: "u32" } : { counts: "u32" }),
      x: vector ? `vec4<${from}>` : from,
      w: vector ? `vec4<${weights}>` : weights,
      ...(bias ? { bias: "f32" } : {}),
      y: `out ${to}`,
    },
    functions: `
fn activate(z: f32) -> f32 { ${activations[activation]} }
fn place_of(row: u32) -> u32 { return ${place}; }
fn source_of(row: u32) -> u32 { return ${source}; }
fn write_out(place: u32, column: u32, z: f32, next: f32) { y[${at}] = ${to}(${residual ? `f32(y[${at}]) + ` : ""}${value}); }`,
    rowsOf: (tileRows) =>
      grouped
        ? `let base = tiles[group.x * 3u] * ${outputs * inputs}u; let first = tiles[group.x * 3u + 1u]; let last = tiles[group.x * 3u + 2u];`
        : `let first = group.x * ${tileRows}u; let last = min(first + ${tileRows}u, counts[${counts[rows]}]); let base = 0u;`,
  };
}

/** Columns of y that one call of `write_out` writes from: 2 where gate and up are neighbours. */
export const columnsAtOnce = (shape: MatmulShape): number => (shape.activation === "gated" ? 2 : 1);
