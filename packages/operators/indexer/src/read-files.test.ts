import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { hostOf, runOperator, testOperator } from "@tessera/testkit";
import { LocalFolder } from "./folder.js";
import { readFiles } from "./read-files.js";

const outside = mkdtempSync(join(tmpdir(), "tessera-read-files-"));
const root = join(outside, "root");
mkdirSync(join(root, "a"), { recursive: true });
writeFileSync(join(outside, "secret.txt"), "secret");
writeFileSync(join(root, "a", "c.md"), "# c\n");
writeFileSync(join(root, "b.ts"), "b");
symlinkSync(join(outside, "secret.txt"), join(root, "link.txt"));
afterAll(() => rmSync(outside, { recursive: true, force: true }));

const folder = await LocalFolder.open(root);
const host = () => hostOf({ "folder/docs": folder });

testOperator(readFiles, {
  host,
  cases: [
    {
      name: "reads the named files in the order of their names",
      config: { folder: "docs" },
      input: { paths: ["b.ts", "a/c.md"] },
      output: {
        documents: [
          { id: "b.ts", text: "b", source: { path: "b.ts" }, metadata: { language: "typescript" } },
          { id: "a/c.md", text: "# c\n", source: { path: "a/c.md" }, metadata: { language: "markdown" } },
        ],
        skipped: [],
      },
    },
  ],
});

describe("indexer.read-files", () => {
  it("says what it could not read, follows no link, and refuses what lies outside", async () => {
    const read = (paths: string[]) => runOperator(readFiles, { folder: "docs" }, { paths }, { host: host() });
    const { documents, skipped } = await read(["b.ts", "link.txt", "gone.ts", "a"]);
    expect((documents as Passage[]).map(({ id }) => id)).toEqual(["b.ts"]);
    expect((skipped as { path: string }[]).map(({ path }) => path)).toEqual(["link.txt", "gone.ts", "a"]);
    for (const path of ["../secret.txt", join(outside, "secret.txt"), "a/../../secret.txt", ""])
      await expect(read([path])).rejects.toMatchObject({ code: "BAD_ARGUMENT", path });
  });
});
