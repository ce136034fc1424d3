import { fileURLToPath } from "node:url";
import { z } from "zod";

/** The packages that a run needs: today's, or those of another commit. */
interface RunModules {
  readonly core: typeof import("@tessera/core");
  readonly tessera: typeof import("@tessera/tessera");
}

/**
 * The stack in the work of an operator, in the second run of a flow of one node: a line for each frame, the innermost
 * first. The first run also starts what a `Tessera` starts once.
 */
export async function stackOfWork({ core, tessera }: RunModules): Promise<string[]> {
  let stack = "";
  const take = core.operator({
    name: "bench.take-stack",
    version: 1,
    about: { module: "data", submodule: "bench", summary: "Takes the stack." },
    config: z.strictObject({}),
    ports: { input: { query: core.text }, output: { text: core.text } },
    setup: () =>
      function takeStack({ query }) {
        const before = Error.stackTraceLimit;
        Error.stackTraceLimit = 200;
        stack = new Error("the stack").stack ?? "";
        Error.stackTraceLimit = before;
        return { text: query };
      },
  });
  const one = core.flow("one", { query: "text" }, (f, { query }) => ({
    text: f.node("take", take(), { query }).text,
  }));
  const service = tessera.createTessera({ flows: { one }, operators: [take] });
  try {
    await service.run("one", { query: "first" });
    await service.run("one", { query: "second" });
  } finally {
    await service.close();
  }
  return stack.split("\n").filter((line) => line.startsWith("    at "));
}

const place = /\(?((?:file:\/\/)?\/[^()]*):\d+:\d+\)?$/;

/** The frames of a stack between `Tessera.run` and the operator's work that are in sources of a folder, innermost first. */
export function ownFrames(stack: readonly string[], folder: string): string[] {
  const work = stack.findIndex((line) => line.includes("takeStack"));
  const entry = stack.findIndex((line) => /\bTessera\.run\b/.test(line));
  return stack.slice(work + 1, entry < 0 ? undefined : entry).filter((line) => {
    const path = place.exec(line)?.[1];
    if (path === undefined) return false;
    const file = path.startsWith("file:") ? fileURLToPath(path) : path;
    return file.startsWith(folder) && !file.includes("/node_modules/");
  });
}
