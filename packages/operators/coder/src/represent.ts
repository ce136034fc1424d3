// public: represent
import { type Encoder, number, operator } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { z } from "zod";
import { behaviours } from "./behaviour.js";
import { type CodeModule, codeModules, problem } from "./problem.js";
import type { Sandbox } from "./sandbox/sandbox.js";

// the published encoder reads 10,000 characters
const longest = 10_000;
const buckets = 16;

/** What is embedded of a module: its header, then its code; the code alone where it has no docstring. */
export const embeddedText = ({ header, code }: Pick<CodeModule, "header" | "code">): string =>
  (/\/\*|\/\/|"""|'''|#/.test(header) ? `${header}\n${code}` : code).slice(0, longest);

/**
 * One-hot blocks, one for each input, zero for an error: the squared distance of two modules is twice the number of
 * unequal outputs, and once the number of inputs that only one of them takes.
 */
export function behaviourVector(outputs: readonly string[], inputs: number): number[] {
  const vector = new Array<number>(inputs * buckets).fill(0);
  for (const [index, output] of outputs.entries())
    if (output !== "!") vector[index * buckets + (Number.parseInt(sha256(output).slice(0, 8), 16) % buckets)] = 1;
  return vector;
}

/**
 * Gives every module a vector: from a code encoder ("encoder"), or from what it gives on shared inputs ("behaviour"),
 * where modules that act alike are near whatever their text is.
 */
export const represent = operator({
  name: "coder.represent",
  version: 1,
  about: {
    module: "code",
    submodule: "clustering",
    paper: "CodeChain, section 3.2; behaviour after FunCoder (Chen et al. 2024)",
    summary: "Gives modules vectors, by a code encoder or by their behaviour.",
  },
  config: z.discriminatedUnion("by", [
    z.strictObject({ by: z.literal("encoder"), /** An "encoder" resource. */ encoder: z.string().min(1) }),
    z.strictObject({
      by: z.literal("behaviour"),
      /** A "sandbox" resource. */
      sandbox: z.string().min(1).default("sandbox"),
      /** How many inputs the modules are compared on. */
      inputs: z.int().min(1).max(256).default(24),
    }),
  ]),
  ports: {
    input: { problem, modules: codeModules },
    output: { modules: codeModules, vectors: z.array(z.array(number)) },
  },
  setup: async (config, host) => {
    if (config.by === "encoder") {
      const encoder = await host.resource<Encoder>("encoder", config.encoder);
      return async ({ modules }, { signal }) => {
        const vectors =
          modules.length > 0 ? await encoder.encode(modules.map(embeddedText), { kind: "code" }, signal) : [];
        return { modules, vectors: vectors.map((vector) => Array.from(vector)) };
      };
    }
    const sandbox = await host.resource<Sandbox>("sandbox", config.sandbox);
    return async ({ problem, modules }, { signal }) => {
      const outputs = await behaviours(sandbox, modules, problem, config.inputs, signal);
      return { modules, vectors: outputs.map((output) => behaviourVector(output, config.inputs)) };
    };
  },
});
