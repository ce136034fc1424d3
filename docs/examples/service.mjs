import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createTessera, updateCodebase } from "@tessera/tessera";

const [root = ".", port = 8080] = process.argv.slice(2);
const ask = JSON.parse(readFileSync(new URL("ask.json", import.meta.url), "utf8"));
const { resources } = await updateCodebase({ root, folder: ".tessera/ask" });
const tessera = await createTessera({ flows: { ask }, resources }).start();
const server = createServer(async ({ url }, response) => {
  try {
    const query = new URL(url, "http://localhost").searchParams.get("q");
    const { output } = await tessera.stream("ask", { query });
    for await (const { port, delta } of output) {
      if (response.destroyed) break; // who leaves ends the run
      if (port === "text") response.write(delta);
    }
    response.end();
  } catch (error) {
    if (response.headersSent) response.destroy();
    else response.writeHead(400).end(error.message);
  }
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/?q=…`));
process.once("SIGTERM", () => server.close(() => tessera.close()));
