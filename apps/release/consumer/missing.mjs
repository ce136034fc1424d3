// what an application without the optional parts is told: the code and the command of each
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tessera from "@tessera/tessera";

const folder = await mkdtemp(join(tmpdir(), "tessera-missing-"));
const attempts = {
  "hnswlib-node": () => tessera.HnswStore.open({ space: "x", width: 2 }),
  pg: () => tessera.connectPostgres("postgres://127.0.0.1:1/none"),
  "@zilliz/milvus2-sdk-node": () =>
    tessera.MilvusStore.open({ address: "127.0.0.1:1", name: "x", space: "x", width: 2 }),
  "@tessera/weights": () => tessera.findModel("code-encoder-2"),
  webgpu: () => tessera.gpuEngine(),
  "quickjs-emscripten-core": () => tessera.coder.openSandbox(tessera.coder.quickjs()),
  "sql.js": () => tessera.query.SqliteDatabase.open(join(folder, "a.sqlite")),
};
const told = {};
await writeFile(join(folder, "a.sqlite"), "");
for (const [name, attempt] of Object.entries(attempts))
  told[name] = await Promise.resolve()
    .then(attempt)
    .then(
      () => "no error",
      ({ code, hint, message }) => `${code}: ${hint ?? message}`,
    );
await writeFile(join(folder, "page.html"), "<h1>Boats</h1><p>The ferry leaves at noon.</p>");
await writeFile(join(folder, "paper.pdf"), "%PDF-1.4\n");
const { report, close } = await tessera.updateCodebase({
  root: folder,
  folder: join(folder, ".index"),
  encoder: "none",
});
for (const { path, detail } of report.skipped) told[path] = detail;
await close();
await rm(folder, { recursive: true });
console.log(JSON.stringify(told));
