// the child process of records.test.ts; runs a slow flow with records on disk until it is killed
import { appendFileSync } from "node:fs";
import { everyKind, everyKindInput } from "@tessera/testkit/every-kind";
import { compile } from "../compile.js";
import type { CompiledFlow } from "../compiled.js";
import { diskRecords } from "./disk.js";

/** A flow of every kind of node; every step that runs is noted in a file. */
export function crashFlow(folder: string, ms: number): Promise<CompiledFlow> {
  const { flows, operators } = everyKind({ ms, note: (path) => appendFileSync(`${folder}/ran`, `${path}\n`) });
  return compile(flows.every, { operators, records: diskRecords(`${folder}/records`) });
}

if (process.argv[2] === "crash") {
  const ready = await crashFlow(process.argv[3]!, 15);
  await ready.run(everyKindInput, { id: "run", seed: 7 });
}
