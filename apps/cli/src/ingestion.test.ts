import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { codeChunker, LocalFolder } from "@tessera/indexer";
import { HashEncoder } from "@tessera/models";
import { connectPostgres, PostgresStore } from "@tessera/tessera";
import { hasPgvector, needs, PostgresServer } from "@tessera/testkit";
import { ended, start } from "./program.fixture.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-ingestion-"));
let server: PostgresServer | undefined;
const children = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
  await server?.remove();
});

const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
const functionsOf = (file: number, version: string) =>
  Array.from(
    { length: 4 },
    (_, i) => `/** Says ${version} for ${file}. */\nexport function say${file}x${i}() {\n  return "${version}";\n}\n`,
  ).join("\n");

const main = fileURLToPath(new URL("main.ts", import.meta.url));

function tessera(...words: string[]): ChildProcess {
  const given = ["index", folder, "--database", server!.url, "--name", "birds", "--encoder", "hash", ...words];
  const child = start(main, given, { cwd: folder });
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

async function report(child: ChildProcess) {
  const { code, out, err } = await ended(child);
  expect({ code, err: err.replace(/^index \d+ of \d+\n/gm, "") }).toMatchObject({ code: 0 });
  return JSON.parse(out) as { seen: number; indexed: number; removed: number; passages: number };
}

/** The naive twin: one process that reads and cuts every file, in order. */
async function expected(): Promise<Map<string, Passage>> {
  const local = await LocalFolder.open(folder);
  const { files } = await local.list({ maximumBytes: 1e6, exclude: [] });
  const found = new Map<string, Passage>();
  for (const path of files) {
    const { document } = await local.document(path, { maximumBytes: 1e6, maximumDocumentBytes: 1e6 });
    for (const passage of document ? await codeChunker().chunk(document) : []) found.set(passage.id, passage);
  }
  return found;
}

/** What the database holds, by words and by vectors, is what the twin has. */
async function sameAsTwin(): Promise<number> {
  const twin = await expected();
  const connection = await connectPostgres(server!.url, 1);
  const hash = new HashEncoder();
  try {
    for (const store of ["sparse", "dense"]) {
      const { rows } = await connection.query<{ passage: string }>(
        `SELECT passage FROM tessera_birds_${store}.passage`,
      );
      const passages = rows.map(({ passage }) => JSON.parse(passage) as Passage);
      expect(new Map(passages.map((passage) => [passage.id, passage]))).toEqual(twin);
    }
    const dense = await PostgresStore.open({
      database: server!.url,
      name: "birds_dense",
      space: hash.space({}),
      width: hash.width,
    });
    const [vector] = await hash.encode(["say3x1"], { kind: "query" });
    const hits = await dense.search({ vector: vector!, top: 3 });
    await dense.close();
    expect(hits.every(({ passage }) => passage.text.includes("say3x"))).toBe(true);
  } finally {
    await connection.close();
  }
  return twin.size;
}

describe("tessera index --database", () => {
  needs(hasPgvector, "no PostgreSQL with pgvector")(
    "several processes make the index that one makes, whichever of them is killed, and later only what changed is indexed",
    async () => {
      server = await PostgresServer.start(true);
      mkdirSync(folder, { recursive: true });
      for (let file = 0; file < 60; file++) put(`file${file}.ts`, functionsOf(file, "one"));
      put("guide.md", "# Birds\n\nThe owl hunts at night.\n");
      put("picture.bin", "\0\0\0");

      const handing = tessera("--json", "--workers", "0");
      const first = report(handing);
      let worker = tessera("--join");
      // workers die at any moment, and others take over
      const random = uniform(3);
      for (let kill = 0; kill < 3; kill++) {
        await sleep(1500 + 1500 * random());
        worker.kill("SIGKILL");
        worker = tessera("--join");
      }
      expect(await first).toMatchObject({ seen: 62, indexed: 62, removed: 0 });
      expect((await sameAsTwin()) > 240).toBe(true);

      // changed, removed, added
      put("file3.ts", functionsOf(3, "two"));
      rmSync(join(folder, "file4.ts"));
      put("new.ts", functionsOf(99, "new"));
      expect(await report(tessera("--json"))).toMatchObject({ seen: 62, indexed: 2, removed: 1 });
      await sameAsTwin();

      // what comes back is indexed again, though its content was once known; who hands in dies as well
      put("file3.ts", functionsOf(3, "one"));
      for (let file = 10; file < 40; file++) put(`file${file}.ts`, functionsOf(file, "three"));
      const dying = tessera("--json");
      await sleep(4000);
      dying.kill("SIGKILL");
      const last = await report(tessera("--json"));
      expect(last.seen).toBe(62);
      await sameAsTwin();
      expect(await report(tessera("--json"))).toMatchObject({ seen: 62, indexed: 0, removed: 0 });
    },
  );
});
