import { fewRowsMatmul } from "./matmul-few.js";
import { plainMatmul } from "./matmul-plain.js";
import type { Matmul, MatmulShape } from "./matmul-shape.js";
import { type MatrixUnits, unitsMatmul } from "./matmul-units.js";

/**
 * The kernel for a product of at most `rows` rows (grouped: places): weights are read once where there are few, the
 * matrix units compute fp16 where the device has them, else the plain twin.
 * Dispatch: ⌈rows / rows of a tile⌉ × ⌈outputs / columns of a tile⌉, or indirectly by the tiles that there are.
 */
export function matmul(shape: MatmulShape, rows: number, units?: MatrixUnits): Matmul {
  const perWeight = shape.grouped ? rows / shape.grouped.experts : rows;
  if (perWeight <= 4) return fewRowsMatmul(shape, perWeight <= 1 ? 1 : 4);
  if (units && shape.weights === "f16" && shape.from === "f16" && shape.inputs % 4 === 0)
    return unitsMatmul(shape, rows, units);
  return plainMatmul(shape);
}
