import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "@jest/globals";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** A number of milliseconds behind the function of a test, on its line or on one of its own. */
const limit = /\n\s*\},(?: |\n\s*)[\d_]{4,},?(?:\n\s*)?\);|\btimeoutMs\)\s*;|\bjest\.setTimeout\(/;

it("no test has a limit of time of its own, which a busy machine would break", () => {
  const tests = globSync("{packages,packages/operators,apps}/*/**/*.{test,fixture}.ts", {
    cwd: root,
    exclude: (path) => /(?:^|\/)(?:node_modules|dist)$/.test(path),
  });
  expect(tests.length).toBeGreaterThan(200);
  expect(tests.filter((path) => limit.test(readFileSync(join(root, path), "utf8")))).toEqual([]);
});

it("finds a limit in each way of writing one", () => {
  expect('it("waits", async () => {\n  await work();\n}, 5_000);').toMatch(limit);
  expect('needs(ok, "no")(\n  "waits",\n  async () => {\n    await work();\n  },\n  60_000,\n);').toMatch(limit);
});
