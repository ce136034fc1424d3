// runs every flow of the catalogue on its sample, as its page does, by one of our models: npm run flows [model]
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { flows } from "@tessera/flows";
import { runnableSamples } from "./recordings.mjs";
import { run } from "./src/commands/run.ts";
import { Terminal } from "./src/terminal.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [model = "code-language-model"] = process.argv.slice(2);
process.chdir(root);

/** What `tessera run --json` prints. */
async function ran(name, options) {
  let printed = "";
  const out = new Writable({
    write(text, _, done) {
      printed += text;
      done();
    },
  });
  await run(new Terminal({ json: true, stack: false }, out, out), name, options);
  return JSON.parse(printed);
}

let failed = 0;
const samples = runnableSamples(root, flows);
for (const name of flows.keys()) {
  const { question } = samples.find((sample) => sample.name === name);
  const started = performance.now();
  const told = await ran(name, {
    ...{ input: question, model, data: "packages/flows/samples/town" },
    database: "packages/flows/src/planrag/samples/towns.db",
  }).then(
    ({ status, spent: { calls, tokens } }) => `${status}, ${calls} calls, ${tokens} tokens`,
    (error) => {
      failed++;
      return `${error.code ?? "FAILED"}: ${error.message}`;
    },
  );
  console.log(`${name.padEnd(24)} ${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${told}`);
}
console.log(`${flows.size - failed} of ${flows.size} flows ran by ${model}`);
process.exitCode = failed > 0 ? 1 : 0;
