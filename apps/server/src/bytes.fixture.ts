// for tests only: runs of a line of 40 nodes with inputs of a megabyte, in a process with a small heap: folder, runs, bytes
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { flow, operator, text } from "@tessera/core";
import { z } from "zod";
import { openFolder } from "./backend.js";

const [folder = "", runs = "0", bytes = "0"] = process.argv.slice(2);
const echo = operator({
  name: "test.say",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Says it." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup:
    () =>
    ({ query }) => ({ text: query }),
});
const line = flow("line", { query: "text" }, (f, input) => {
  let last = input.query;
  for (let node = 0; node < 40; node++) last = f.node(`n${node}`, echo(), { query: last }).text;
  return { text: last };
}).document;
const backend = await openFolder(folder, { flows: { line }, operators: [echo], bytes: Number(bytes) });
const heaps: number[] = [];
let disk = 0;
for (let run = 0; run < Number(runs); run++) {
  const id = `r${run}`;
  const query = `${run} ${"x".repeat(1 << 20)}`;
  await backend.runs.start({ id, flow: "line", input: { query }, principal: { id: "p" } });
  const { status } = await backend.runs.settled(id);
  if (status !== "done") throw new Error(status);
  if (run % 10 === 9) {
    const log = join(folder, "log");
    disk = Math.max(
      disk,
      readdirSync(log).reduce((sum, name) => sum + statSync(join(log, name)).size, 0),
    );
    (globalThis as { gc?: () => void }).gc?.();
    heaps.push(process.memoryUsage().heapUsed);
  }
}
const left = (await backend.runs.list({ limit: 1000 })).length;
await backend.runs.close(0);
await backend.close();
process.stdout.write(JSON.stringify({ heaps, disk, left }));
