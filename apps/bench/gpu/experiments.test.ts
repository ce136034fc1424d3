import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect } from "@jest/globals";
import { halfDriver, isLong, needs, softwareDriver, withoutDriver, withoutHalf } from "@tessera/testkit";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
// kernels of fp32 are compiled fastest by SwiftShader; all of them in fp16, on the matrix units, take minutes
const driver = (isLong ? halfDriver : undefined) ?? softwareDriver;
const onDevice = needs(driver !== undefined, withoutDriver);
const onHalf = needs(halfDriver !== undefined, withoutHalf);
const withCompiler = needs(
  spawnSync("cc", ["--version"]).status === 0,
  "no C compiler for a driver of CUDA that is none",
);

interface Line {
  readonly experiment: string;
  readonly name: string;
  readonly value?: number | string;
  readonly missing?: string;
  readonly error?: string;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-gpu-bench-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function experiments(...options: string[]): Promise<Line[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--conditions=@tessera/source",
    `--import=${here("../../setup/sources.mjs")}`,
    here("./experiments.ts"),
    "--tiny",
    ...options,
  ]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

const find = (lines: readonly Line[], experiment: string, name: RegExp): Line | undefined =>
  lines.find((line) => line.experiment === experiment && name.test(line.name));

describe("the experiments on a GPU", () => {
  onDevice("run whole at tiny sizes, every one gives its figures, and a soak with mixed load follows", async () => {
    const all = "E0,E1,E2,E3,E3b,E4,E5,E7,E8,E9";
    const lines = await experiments("--driver", driver!, "--only", all, "--soak", "0");
    expect(lines.filter(({ error }) => error !== undefined)).toEqual([]);
    for (const [experiment, name] of [
      ["E0", /clean starts and stops/],
      ["E1", /product/],
      ["E2", /dependent dispatches/],
      ["E3", /encoder, \d+ tokens/],
      ["E3b", /against its fp32/],
      ["E4", /decode, one sequence/],
      ["E5", /exit 4/],
      ["E5", /compaction/],
      ["E9", /host's path/],
      ["E9", /event-loop delay/],
    ] as const)
      expect({ experiment, name, line: find(lines, experiment, name)?.value }).toEqual({
        experiment,
        name,
        line: expect.any(Number),
      });
    expect(find(lines, "E3", /cosine/)!.value).toBeGreaterThan(0.9995);
    expect(find(lines, "E3b", /cosine between the two, fp32/)!.value).toBeGreaterThan(0.9999);
    expect(find(lines, "E4", /greedy tokens as of the reference, fp32/)!.value).toBe(1);
    expect(lines.filter(({ experiment }) => experiment === "E6").map(({ name, value }) => [name, value])).toEqual([
      ["growth of the GPU's memory", 0],
      ["device losses", 0],
      ["exit code", 0],
    ]);
    if (isLong) {
      const alone = await experiments("--driver", driver!, "--soak", "0");
      expect(alone.map(({ value }) => value)).toEqual([0, 0, 0]);
    }
    // what this machine has not is said by name
    for (const [experiment, name] of [
      ["E7", /torch/],
      ["E8", /CUDA|device/],
    ] as const)
      expect(find(lines, experiment, name)).toBeDefined();
  });

  onHalf("run in half precision, with products on the matrix units where the driver has them", async () => {
    const lines = await experiments("--driver", halfDriver!, "--only", "E1,E2");
    expect(lines.map(({ experiment, name, value }) => [experiment, name, typeof value])).toEqual([
      ["E1", expect.stringMatching(/product/), "number"],
      ["E2", expect.stringMatching(/dependent dispatches/), "number"],
      ["E6", "exit code", "number"],
    ]);
    expect(lines.at(-1)!.value).toBe(0);
  });

  withCompiler("drive CUDA by FFI: a product that was compiled before, and a graph of kernels", async () => {
    const library = join(folder, "libcuda.so");
    await promisify(execFile)("cc", ["-O1", "-shared", "-fPIC", "-o", library, here("./fake-cuda.fixture.c")]);
    const lines = await experiments("--only", "E8", "--cuda", library);
    expect(find(lines, "E8", /device/)!.value).toBe("a card of this test");
    expect(lines.filter(({ name }) => /compiled product/.test(name))).toHaveLength(4);
    expect(find(lines, "E8", /graph of 90/)!.value).toBeGreaterThan(0);
  });

  withCompiler("say so where CUDA's driver is missing", async () => {
    const library = join(folder, "none.so");
    const lines = await experiments("--only", "E8", "--cuda", library);
    expect(find(lines, "E8", /CUDA/)!.missing).toContain(library);
  });
});

describe("what is carried to a machine with a GPU", () => {
  needs(process.platform === "linux" && process.arch === "x64", "packs Node for Linux on x64 only")(
    "runs apart from the checkout, without its Node and its packages",
    async () => {
      const target = join(folder, "carried");
      const script = `import { assemble } from ${JSON.stringify(here("./prepare.mjs"))}; assemble(${JSON.stringify(target)});`;
      await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
      // with its own loader, where that driver is there
      const any = halfDriver ?? softwareDriver;
      const options = any === undefined ? ["--only", "E8"] : ["--only", "E2", "--driver", any];
      const { stdout } = await promisify(execFile)(join(target, "run.sh"), ["--tiny", ...options], {
        cwd: target,
        env: { PATH: "/usr/bin:/bin" },
      });
      const lines = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Line);
      expect(lines.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(lines[0]!.experiment).toBe(any === undefined ? "E8" : "E2");
    },
  );
});
