import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "@jest/globals";
import { countOf } from "@tessera/testkit";

/** The heap in bytes at ten looks, after so many runs each. `keeps`: every run leaves something behind, as a leak does. */
async function looks(each: number, { keeps = false } = {}): Promise<number[]> {
  const child = spawn(
    process.execPath,
    [
      "--expose-gc",
      "--conditions=@tessera/source",
      `--import=${new URL("../../../apps/setup/sources.mjs", import.meta.url)}`,
      fileURLToPath(new URL("soak.fixture.ts", import.meta.url)),
      String(each),
      ...(keeps ? ["keeps"] : []),
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
  return heaps;
}

/**
 * Bytes a run: the median of the slopes between all pairs of looks (Theil 1950, Sen 1968). A table that V8 makes larger, or
 * throws away, is a step, which does not move it; a leak does.
 */
function growth(heaps: readonly number[], each: number): number {
  const slopes = heaps
    .flatMap((heap, index) => heaps.slice(index + 1).map((later, gap) => (later - heap) / ((gap + 1) * each)))
    .sort((a, b) => a - b);
  return slopes[Math.floor(slopes.length / 2)]!;
}

it("hundreds of thousands of runs of a small flow keep the heap flat", async () => {
  const each = countOf({ usual: 40_000, long: 100_000 });
  const heaps = await looks(each);
  expect(growth(heaps, each)).toBeLessThan(0.5);
  expect(Math.max(...heaps) - heaps[0]!).toBeLessThan(2_000_000);
});

it("the measure finds a leak of one small object a run", async () => {
  expect(growth(await looks(3000, { keeps: true }), 3000)).toBeGreaterThan(10);
});
