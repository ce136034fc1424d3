// internal: encoderGraph
import { TesseraError } from "@tessera/core";
import type { EncoderModel } from "../../architectures/encoder.js";
import { exitGraph, type Precision } from "./exit-graph.js";

export type { Precision } from "./exit-graph.js";

/**
 * An encoder up to one exit as an ONNX model (opset 21 and com.microsoft), for other runtimes. All texts of a run have
 * the same length. Inputs: `ids` int32 [texts · length], special tokens included; `shape` int64 [3] = texts, length,
 * hidden. Output: `embedding` float [texts, hidden], not yet of unit length.
 * @throws TesseraError BAD_ARGUMENT for an exit that the model does not have
 */
export function encoderGraph(model: EncoderModel, exit: number, precision: Precision): Uint8Array {
  if (!model.exits.some(({ layer }) => layer === exit))
    throw new TesseraError("BAD_ARGUMENT", `there is no exit at layer ${exit}`, {
      path: model.name,
      hint: `exits: ${model.exits.map(({ layer }) => layer).join(", ")}`,
    });
  return exitGraph(model, exit, precision);
}
