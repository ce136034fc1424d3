import { afterAll, describe, expect, it } from "@jest/globals";
import { countOf, isLong } from "@tessera/testkit";
import { geluErf, geluTanh } from "../decoder-reference.fixture.js";
import {
  cases,
  closeDevices,
  expectClose,
  floats,
  onDevice,
  one,
  onHalf,
  onUnits,
  poisoned,
  rounded,
  run,
  stored,
  units,
} from "./device.fixture.js";
import type { Numbers } from "./kernel.js";
import { matmul } from "./matmul.js";
import { fewRowsMatmul } from "./matmul-few.js";
import { plainMatmul } from "./matmul-plain.js";
import type { Activation, Matmul, MatmulShape } from "./matmul-shape.js";
import { type MatrixUnits, unitsMatmul } from "./matmul-units.js";

afterAll(closeDevices);

const acts: Record<Activation, (z: number, next: number) => number> = {
  none: (z) => z,
  "gelu-tanh": geluTanh,
  "gelu-erf": geluErf,
  gated: (z, next) => (z / (1 + Math.exp(-z))) * next,
};

/** y = activation(x Wᵀ + bias), or y += that, as the device's roundings of its inputs see it. */
function twin(
  { inputs, outputs, activation = "none", residual, bias: biased }: MatmulShape,
  { x, w, bias, before }: Record<"x" | "w" | "bias" | "before", Float32Array>,
  rows: number,
): number[] {
  const width = activation === "gated" ? outputs / 2 : outputs;
  const z = (r: number, o: number): number => {
    let sum = biased ? bias[o]! : 0;
    for (let i = 0; i < inputs; i++) sum += x[r * inputs + i]! * w[o * inputs + i]!;
    return sum;
  };
  return Array.from({ length: rows * width }, (_, at) => {
    const [r, c] = [Math.floor(at / width), at % width];
    const value = activation === "gated" ? acts.gated(z(r, 2 * c), z(r, 2 * c + 1)) : acts[activation](z(r, c), 0);
    return residual ? before[at]! + value : value;
  });
}

async function checkProduct(
  made: (shape: MatmulShape, rows: number) => Matmul,
  shape: MatmulShape,
  rows: number,
  random: () => number,
): Promise<void> {
  const { inputs, outputs, activation, residual, weights = "f32", from = "f32", to = "f32" } = shape;
  const width = activation === "gated" ? outputs / 2 : outputs;
  const x = rounded(floats(random, rows * inputs), from);
  const w = rounded(floats(random, outputs * inputs), weights);
  const bias = floats(random, outputs).map((value) => 4 * value);
  const before = rounded(floats(random, rows * width), to);
  const product = made(shape, rows);
  const { y } = await run(
    {
      kernels: [one(product.kernel, Math.ceil(rows / product.rows), Math.ceil(outputs / product.columns))],
      buffers: {
        counts: Uint32Array.of(rows, 0, 0, 0),
        x: stored(x, from),
        w: stored(w, weights),
        ...(shape.bias && { bias }),
        y: residual ? stored(before, to) : poisoned(rows * width, to),
      },
      read: ["y"],
    },
    from,
  );
  expectClose(y, twin(shape, { x, w, bias, before }, rows), to);
}

const kinds: Record<string, (shape: MatmulShape, rows: number) => Matmul> = {
  plain: plainMatmul,
  "one row": (shape) => fewRowsMatmul(shape, 1),
  "few rows": (shape) => fewRowsMatmul(shape, 4),
};

/** Rows, inputs and half the outputs; one of four combinations of bias, residual and activation. */
async function checkCases(
  made: (shape: MatmulShape, rows: number) => Matmul,
  numbers: Numbers,
  numRuns: number,
  most: [number, number, number, number],
  by = 1,
): Promise<void> {
  await cases(numRuns, most, async ([rows, inputs, half, choice], random) => {
    const residual = choice % 2 === 0;
    const shape: MatmulShape = {
      inputs: by * inputs,
      outputs: 2 * half,
      rows: "tokens",
      weights: numbers,
      from: numbers,
      to: residual ? "f32" : numbers,
      bias: choice < 4,
      activation: (["gelu-erf", "none", "gated", "gelu-tanh"] as const)[choice - 1]!,
      residual,
    };
    await checkProduct(made, shape, rows, random);
  });
}

describe("matrix products beside their twin, into poisoned outputs", () => {
  for (const [kind, made] of Object.entries(kinds)) {
    onDevice(`${kind}, fp32`, () => checkCases(made, "f32", 4, [40, 50, 24, 4]));
    onHalf(`${kind}, fp16`, () => checkCases(made, "f16", 1, [40, 50, 24, 4]));
    // four numbers are read at a time where they divide
    onDevice(`${kind}, fp32, inputs in fours`, () => checkCases(made, "f32", 2, [40, 12, 24, 4], 4));
    onHalf(`${kind}, fp16, inputs in fours`, () => checkCases(made, "f16", 1, [40, 12, 24, 4], 4));
  }

  // as lavapipe and Apple have them, and as NVIDIA has
  const small = { m: 8, n: 8, k: 8, subgroup: 8, emulated: true };
  const nvidia = { m: 16, n: 8, k: 16, subgroup: 32, emulated: true };
  const tilesOf =
    (having: MatrixUnits, most = 0): typeof matmul =>
    (shape, rows) =>
      unitsMatmul(shape, Math.max(rows, most), having);
  // rows that would fill a large GPU make the tiles large; the counts say how many there are
  const enough = 128 * 128;
  onDevice("tiles of 8 × 8 × 8, emulated, fp32", () => checkCases(tilesOf(small), "f32", 1, [70, 20, 80, 4], 4));
  // the large tiles are of the same kind
  if (isLong)
    onHalf("tiles of 16 × 8 × 16, emulated, fp16", () => checkCases(tilesOf(nvidia), "f16", 1, [70, 20, 80, 4], 4));
  onHalf("large tiles of 16 × 8 × 16, emulated, fp16", () =>
    checkCases(tilesOf(nvidia, enough), "f16", 1, [200, 12, 100, 4], 4),
  );
  onUnits("on the units, fp16", () =>
    checkCases(tilesOf(units!), "f16", countOf({ usual: 1, long: 8 }), [70, 20, 80, 4], 4),
  );
});

it("chooses a product's kernel by its rows and by what the device has", () => {
  const shape: MatmulShape = { inputs: 64, outputs: 64, rows: "tokens", weights: "f16", from: "f16" };
  const nvidia = { m: 16, n: 16, k: 16, subgroup: 32 };
  const kindOf = (one: MatmulShape, rows: number, having?: MatrixUnits): string | undefined =>
    /^matmul-([a-z]+)/.exec(matmul(one, rows, having).kernel.name)?.[1];
  expect(kindOf(shape, 1, nvidia)).toBe("few");
  expect(kindOf(shape, 64, nvidia)).toBe("units");
  expect(kindOf(shape, 64)).toBe("plain");
  expect(kindOf({ ...shape, weights: "f32", from: "f32" }, 64, nvidia)).toBe("plain");
  expect(kindOf({ ...shape, inputs: 66 }, 64, nvidia)).toBe("plain");
  const grouped = { experts: 16, top: 2, input: "token" } as const;
  expect(kindOf({ ...shape, grouped }, 32, nvidia)).toBe("few");
  expect(kindOf({ ...shape, grouped }, 256, nvidia)).toBe("units");
});

it("keeps matrix units and other subgroup operations in different modules", () => {
  const { wgsl } = unitsMatmul({ inputs: 64, outputs: 64, rows: "tokens", weights: "f16", from: "f16" }, 64, {
    m: 16,
    n: 16,
    k: 16,
    subgroup: 32,
  }).kernel;
  expect(wgsl).toContain("subgroupMatrixMultiplyAccumulate");
  expect(wgsl).not.toMatch(
    /subgroup(Add|Max|Min|Mul|And|Or|Xor|Broadcast|Shuffle|Ballot|All|Any|Elect|Inclusive|Exclusive)/,
  );
});
