import { type PortType, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { isInherited, isOurs, misfit } from "./foreign.js";
import type { FlowProgram, Row } from "./program.js";

type InputPorts = FlowProgram["input"];

/**
 * The ports of an input, each read once.
 * @param path the name of the flow
 * @throws TesseraError BAD_INPUT
 */
export function takeInput(input: unknown, ports: InputPorts, path: string): Row {
  try {
    return readInput(input as Row, ports, path);
  } catch (thrown) {
    if (isOurs(thrown)) throw thrown;
    throw new TesseraError("BAD_INPUT", `the input cannot be read: ${messageOf(thrown)}`, { path, cause: thrown });
  }
}

function readInput(input: Row, ports: InputPorts, path: string): Row {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw new TesseraError("BAD_INPUT", "the input is an object of ports", { path });
  const row: Row = {};
  let known = 0;
  for (const { port, optional, type, check } of ports) {
    const own = Object.hasOwn(input, port);
    const value = own ? input[port] : undefined;
    if (own) known++;
    if (value === undefined) {
      if (!optional) throw new TesseraError("BAD_INPUT", `the input "${port}" is missing`, { path: `${path}.${port}` });
      if (isInherited(port)) row[port] = undefined;
      continue;
    }
    const problem = isPlainly(type, value) ? undefined : misfit(check, value);
    if (problem)
      throw new TesseraError("BAD_INPUT", `the input "${port}" does not fit: ${problem.message}`, {
        path: `${path}.${port}`,
        cause: problem.cause,
      });
    row[port] = value;
  }
  if (known === Object.keys(input).length) return row;
  const names = new Set(ports.map(({ port }) => port));
  const stranger = Object.keys(input).find((name) => !names.has(name));
  throw new TesseraError("BAD_INPUT", `the flow has no input "${stranger}"`, {
    path,
    hint: `its inputs are ${[...names].join(", ") || "none"}`,
  });
}

/** Whether a value fits a type that needs no schema to say so. */
const isPlainly = (type: PortType, value: unknown): boolean =>
  type === "any" ||
  (type === "text" && typeof value === "string") ||
  (type === "number" && Number.isFinite(value)) ||
  (type === "flag" && typeof value === "boolean");
