// node waiting-nightly.mjs <folder> <milliseconds between two nights>: indexes the folder, sleeps, and does it again. It may
// be killed at any moment: a night that is done is not done again, and one that came meanwhile is made up for at the start.
import { createTessera, data, diskRecords, flow, operator, text, updateCodebase } from "@tessera/tessera";
import { z } from "zod";

const [root = ".", ms = String(86_400_000)] = process.argv.slice(2);

const index = operator({
  name: "nightly.index",
  version: 1,
  about: { module: "indexing", submodule: "nightly", summary: "Takes what has changed in a folder into its index." },
  config: z.strictObject({}),
  ports: { input: { root: text }, output: { root: text } },
  effects: "write",
  setup:
    () =>
    async ({ root }) => {
      const { report } = await updateCodebase({ root, folder: ".tessera/nightly", encoder: "none" });
      console.log(`indexed: ${report.seen} files, ${report.changed} changed`);
      return { root };
    },
});

const night = flow("night", { root: "text" }, (f, input) => {
  const done = f.node("index", index(), input);
  return { root: f.node("sleep", data.flowSleep({ ms: Number(ms) }), { value: done.root }).value };
});
const nightly = flow("nightly", { root: "text" }, (f, { root }) => ({
  root: f.repeat("nights", night, { carry: { root: "root" }, max: 365 }, { root }).root,
}));

const records = diskRecords(".tessera/records");
const tessera = await createTessera({ flows: { nightly }, records }).start();
// a run that waits is woken by `start`; one that died in its first night waits for nothing yet
const [waiting] = await tessera.waiting({ run: "nightly" });
if (!waiting) {
  const isKnown = await records.run("nightly");
  await (isKnown ? tessera.resume("nightly") : tessera.run("nightly", { root }, { id: "nightly" }));
}
process.once("SIGTERM", () => tessera.close());
setInterval(() => {}, 2 ** 30); // a service would serve meanwhile
