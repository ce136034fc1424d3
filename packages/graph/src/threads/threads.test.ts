import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import type { Records } from "@tessera/core";
import { countOf, testThreads } from "@tessera/testkit";
import { diskRecords } from "../records/disk.js";
import { memoryRecords } from "../records/memory.js";

const folders: string[] = [];
let current: Records | undefined;
afterAll(async () => {
  await current?.close?.();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

testThreads("memoryRecords", {
  fresh: async () => memoryRecords().threads!,
  histories: countOf({ usual: 300, long: 10_000 }),
});

async function opened(folder: string): Promise<NonNullable<Records["threads"]>> {
  await current?.close?.();
  current = diskRecords(folder);
  return current.threads!;
}

testThreads("diskRecords", {
  fresh: async () => {
    folders.push(mkdtempSync(join(tmpdir(), "tessera-threads-")));
    return opened(folders.at(-1)!);
  },
  again: () => opened(folders.at(-1)!),
  histories: countOf({ usual: 60, long: 2000 }),
});
