// the child process of waiting-kills.test.ts: lives a run that waits, with records on disk, until it is killed
import { appendFileSync } from "node:fs";
import { livesOf, waitingKind } from "@tessera/testkit/waiting-kind";
import { compile } from "../compile.js";
import { diskRecords } from "../records/disk.js";

/** Lives the run in a folder to its end; every step that runs is noted in a file. */
export async function liveIn(folder: string, ms: number) {
  const { document, operators } = waitingKind({ ms, note: (path) => appendFileSync(`${folder}/ran`, `${path}\n`) });
  const records = diskRecords(`${folder}/records`);
  const ready = await compile(document, { operators, records });
  const result = await livesOf(ready, "run", (await records.run("run")) !== undefined);
  return { result, records };
}

if (process.argv[2] === "live") await liveIn(process.argv[3]!, 3);
