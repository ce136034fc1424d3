import { createServer, type Server } from "node:http";
import { createTessera, extract, flow, sparse, TesseraError, updateCodebase } from "@tessera/tessera";

/** Finds passages by their words, and answers with the sentences that fit, each with its source. */
export const ask = flow("ask", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("find", sparse({ store: "sparse", top: 20 }), { query });
  const { answer, text } = f.node("answer", extract(), { query, hits });
  return { answer, text };
});

/** A service that answers questions about a folder: GET /?q=… */
export async function openService(root: string): Promise<{ server: Server; close(): Promise<void> }> {
  const { resources, close } = await updateCodebase({ root, folder: ".tessera/index", encoder: "none" });
  const tessera = await createTessera({ flows: { ask }, resources }).start();
  const server = createServer(async (request, response) => {
    const query = new URL(request.url ?? "/", "http://localhost").searchParams.get("q") ?? "";
    response.setHeader("content-type", "application/json");
    try {
      const { output } = await tessera.run("ask", { query });
      response.end(JSON.stringify(output.answer));
    } catch (error) {
      response.writeHead(400).end(JSON.stringify(TesseraError.is(error) ? error : { message: "failed" }));
    }
  });
  return {
    server,
    async close() {
      server.close();
      await tessera.close({ within: 10_000 });
      await close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const { server, close } = await openService(process.argv[2] ?? "docs");
  const port = Number(process.env.PORT ?? 8080);
  server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/?q=when+does+the+ferry+leave`));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void close());
}
