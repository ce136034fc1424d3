// a service as a process of its own: node process.fixture.ts <folder> <milliseconds a step> [<url of a database>]
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { flow, operator, text } from "@tessera/core";
import { everyKind } from "@tessera/testkit/every-kind";
import { z } from "zod";
import { serve } from "./serve.js";

const [folder = "", ms = "0", url] = process.argv.slice(2);

/** Spends two calls and ten tokens. */
const paid = operator({
  name: "test.paid",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Spends." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  bound: () => ({ calls: 2, tokens: 10 }),
  setup:
    () =>
    ({ query }, { spend, emit }) => {
      spend({ calls: 2, tokens: 10 });
      if (query === "fail") throw new Error("as asked");
      emit("text", "said ");
      return { text: `said ${query}` };
    },
});
/** Notes its version; the first one of "last" fails. */
const version = Number(process.env.TEST_VERSION ?? 1);
const versioned = operator({
  name: "test.versioned",
  version,
  about: { module: "data", submodule: "test", summary: "Says its version." },
  config: z.strictObject({ last: z.boolean().default(false) }),
  ports: { input: { query: text }, output: { text } },
  effects: "write",
  setup:
    ({ last }) =>
    ({ query }, { path }) => {
      appendFileSync(join(folder, "ran"), `${path} ${version}\n`);
      if (last && version === 1) throw new Error("not yet");
      return { text: `${query} ${version}` };
    },
});
const grow = flow("grow", { query: "text" }, (f, input) => {
  const { text } = f.node("first", versioned({}), input);
  return { text: f.node("last", versioned({ last: true }), { query: text }).text };
}).document;

/** Goes on for ever. */
const holding = operator({
  name: "test.holding",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Waits until it is aborted." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup:
    () =>
    async ({ query }, { signal, path }) => {
      appendFileSync(join(folder, "ran"), `${path} ${query}\n`);
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      return { text: query };
    },
});
const hold = flow("hold", { query: "text" }, (f, input) => ({ text: f.node("hold", holding(), input).text })).document;
const ask = flow("ask", { query: "text" }, (f, input) => ({ text: f.node("ask", paid(), input).text })).document;

const { flows, operators } = everyKind({
  ms: Number(ms),
  note: (path) => appendFileSync(join(folder, "ran"), `${path}\n`),
});
const { server, url: address } = await serve({
  folder,
  flows: { ...flows, ask, hold, grow },
  operators: [...operators, paid, holding, versioned],
  port: 0,
  ...(url && { database: { url, leaseMs: 1500, pollMs: 50 } }),
});
process.once("SIGTERM", () => void server.close().then(() => process.exit(0)));
process.stdout.write(`${address}\n`);
