import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createTessera, updateCodebase } from "@tessera/tessera";

const ask = JSON.parse(readFileSync(new URL("ask.json", import.meta.url), "utf8"));
const root = process.argv[2] ?? ".";
const { resources } = await updateCodebase({ root, folder: ".tessera/ask", encoder: "none" });
const tessera = await createTessera({ flows: { ask }, resources }).start();
const server = createServer(async ({ url }, response) => {
  const query = new URL(url, "http://localhost").searchParams.get("q");
  const answered = tessera.run("ask", { query }).then(({ output }) => response.end(JSON.stringify(output.answer)));
  await answered.catch((error) => response.writeHead(400).end(JSON.stringify(error)));
});
server.listen(process.argv[3] ?? 8080, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
process.once("SIGTERM", () => {
  server.close();
  void tessera.close({ within: 10_000 }); // runs under way may end first
});
