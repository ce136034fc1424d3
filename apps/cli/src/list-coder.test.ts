import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { root, tessera } from "./program.fixture.js";

describe("the model of list programs that ships", () => {
  it("solves the sample by codechain, and the trace shows what each round tested, took apart, grouped and showed", async () => {
    const problem = join(root, "packages/flows/src/codechain/samples/list-program/problem.json");
    const { code, out, err } = await tessera(["run", "codechain", "--input", problem, "--trace"], root);
    expect(code).toBe(0);
    const said = `${err}\n${out}`;
    const { status, output, spent } = JSON.parse(said.slice(said.indexOf("\n{")));
    expect({ status, passed: output.passed, calls: spent.calls }).toEqual({ status: "done", passed: true, calls: 120 });
    expect(output.rounds.map((samples: unknown[]) => samples.length)).toEqual([20, 20, 20, 20, 20, 20]);
    for (const [line, count] of [
      [/ test .*samples: 20, passed: \d+/g, 6],
      [/ extract .*modules: [\w, ]+/g, 5],
      [/ cluster .*representatives: [\w, ]+, clusters: \d/g, 5],
    ] as const)
      expect(said.match(line)).toHaveLength(count);
    // five modules at most in the first revision, by their names, and one in the last
    const shown = [...said.matchAll(/ cluster .*representatives: ([\w, ]+), clusters/g)].map(([, names]) => names!);
    expect(shown.map((names) => names.split(", ").length <= 5)).toEqual(Array(5).fill(true));
    expect(shown.at(-1)).toMatch(/^[a-z]\w*$/i);
  });
});
