import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "@jest/globals";
import { countOf } from "@tessera/testkit";

it("hundreds of thousands of runs of a small flow keep the heap flat", async () => {
  // runs between two looks at the heap, of which there are ten
  const each = countOf({ usual: 30_000, long: 100_000 });
  const child = spawn(
    process.execPath,
    [
      "--expose-gc",
      "--conditions=@tessera/source",
      `--import=${new URL("../../../apps/setup/sources.mjs", import.meta.url)}`,
      fileURLToPath(new URL("soak.fixture.ts", import.meta.url)),
      String(each),
    ],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NODE_OPTIONS: "" } },
  );
  let [out, err] = ["", ""];
  child.stdout.on("data", (part) => {
    out += part;
  });
  child.stderr.on("data", (part) => {
    err += part;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const heaps = out.trim().split("\n").map(Number);
  expect(heaps).toHaveLength(10);
  // the slope of the least squares: a leak of one byte a run would be 1
  const mean = heaps.reduce((sum, heap) => sum + heap, 0) / heaps.length;
  const middle = (heaps.length - 1) / 2;
  const covariance = heaps.reduce((sum, heap, index) => sum + (index - middle) * (heap - mean), 0);
  const slope = covariance / heaps.reduce((sum, _, index) => sum + (index - middle) ** 2, 0) / each;
  expect(slope).toBeLessThan(0.5);
  expect(Math.max(...heaps) - heaps[0]!).toBeLessThan(1_000_000);
});
