import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it } from "@jest/globals";
import { flow } from "@tessera/core";
import { Codebase } from "@tessera/indexer";
import { sparse } from "@tessera/retriever";
import { updateCodebase } from "./codebase.js";
import { createTessera } from "./create.js";
import { watchCodebase } from "./watch.js";

const work = mkdtempSync(join(tmpdir(), "tessera-watch-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

it("an index that was swapped on disk is taken in; a damaged one is not, and the old one is served on", async () => {
  const [root, folder] = [join(work, "root"), join(work, "index")];
  mkdirSync(root);
  const write = (name: string) => {
    writeFileSync(join(root, `${name}.js`), `/** The ${name} of the house. */\nexport const ${name} = () => 1;\n`);
    return updateCodebase({ root, folder });
  };
  const opened = await write("kitchen");
  const find = flow("find", { query: "text" }, (f, input) => ({
    hits: f.node("find", sparse({ store: "sparse" }), input).hits,
  }));
  const tessera = await createTessera({ flows: { find }, resources: opened.resources }).start();
  const failures: unknown[] = [];
  const stop = watchCodebase(opened, {
    interval: 10,
    changed: ({ resources }) => tessera.reload({ resources }),
    failed: (error) => failures.push(error),
  });
  const finds = async (query: string) => (await tessera.run("find", { query })).output.hits.length > 0;
  const until = async (condition: () => Promise<boolean> | boolean) => {
    while (!(await condition())) await sleep(5);
  };
  expect(await finds("cellar")).toBe(false);
  await write("cellar");
  await until(() => finds("cellar"));
  expect(await finds("kitchen")).toBe(true);

  const file = Codebase.file(folder);
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length / 2));
  await until(() => failures.length > 0);
  expect(failures[0]).toMatchObject({ code: "INDEX_CORRUPT" });
  expect(await finds("cellar")).toBe(true);
  writeFileSync(file, whole);
  await write("attic");
  await until(() => finds("attic"));

  await stop();
  await write("garden");
  await sleep(50);
  expect(await finds("garden")).toBe(false);
  await tessera.close();
});
