import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { createTessera, TesseraError, updateCodebase } from "@tessera/tessera";
import Fastify from "fastify";

const flows = { ask: JSON.parse(readFileSync(new URL("ask.json", import.meta.url), "utf8")) };
const codebase = { root: process.argv[2] ?? ".", folder: ".tessera/ask" };
const { resources } = await updateCodebase(codebase);
const tessera = await createTessera({ flows, resources }).start();

const app = Fastify();
app.setErrorHandler((error, _, reply) =>
  TesseraError.is(error) ? reply.code(error.code === "BAD_INPUT" ? 400 : 500).send(error.toJSON()) : reply.send(error),
);
app.get("/ask", async ({ query }) => (await tessera.run("ask", { query: query.q })).output.answer);
app.get("/events", async ({ query }, reply) => {
  const stream = await tessera.stream("ask", { query: query.q });
  async function* lines() {
    for await (const { type, path } of stream) yield `event: ${type}\ndata: ${JSON.stringify({ path })}\n\n`;
  }
  // when the client goes, the iteration is left, and that aborts the run
  return reply.type("text/event-stream").send(Readable.from(lines()));
});
app.post("/reload", async () => {
  const { resources, report } = await updateCodebase(codebase);
  await tessera.reload({ resources });
  return report.passages;
});
app.addHook("onClose", () => tessera.close({ within: 10_000 }));
process.once("SIGTERM", () => app.close());
console.log(await app.listen({ port: Number(process.argv[3] ?? 8080) }));
