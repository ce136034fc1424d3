import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { FlowDocument } from "@tessera/core";
import { writeDataSet } from "@tessera/eval";
import { commandLine } from "../command-line.js";

const document: FlowDocument = {
  version: 1,
  name: "shallow",
  input: { query: "text" },
  nodes: { search: { run: "retriever.sparse", with: { store: "sparse", top: 1 }, in: { query: "input.query" } } },
  output: { hits: "search.hits" },
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-cli-tune-"));
  // every question has two gold passages, so that a search of depth 1 finds half of them
  const names = Array.from({ length: 24 }, (_, index) => `bird${index}x`);
  await writeDataSet(folder, {
    passages: names.flatMap((name) => [
      { id: `${name}-a`, text: `The ${name} eats fish.`, metadata: {} },
      { id: `${name}-b`, text: `A ${name} sings.`, metadata: {} },
    ]),
    questions: names.map((name) => ({ id: name, question: name, gold: [`${name}-a`, `${name}-b`] })),
  });
  await writeFile(join(folder, "flow.json"), JSON.stringify(document));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function tessera(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const code = await commandLine({ words, out, err, signal: new AbortController().signal });
  return { code, out: `${out.read() ?? ""}`, err: `${err.read() ?? ""}` };
}

const tuneWords = () => ["tune", "--flow", join(folder, "flow.json"), "--data", folder, "--metric", "recall@5"];

describe("tessera tune", () => {
  it("finds the better depth, shows it as a difference, and writes the flow", async () => {
    const file = join(folder, "better.json");
    const { code, out } = await tessera(...tuneWords(), "--set", "search.top=1,2,5", "--write", file);
    expect(code).toBe(0);
    expect(out).toContain("search.top: 1 → 2");
    const better = JSON.parse(await readFile(file, "utf8")) as FlowDocument;
    expect(better).toEqual({
      ...document,
      nodes: { search: { ...document.nodes.search, with: { store: "sparse", top: 2 } } },
    });
  });

  it("gives all to machines, and writes nothing where there is no winner", async () => {
    const file = join(folder, "better.json");
    const words = ["--json", "--set", "search.top=1", "--write", file];
    const { code, out } = await tessera(...tuneWords(), ...words);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ flow: "shallow", confirmed: false, trials: [] });
    await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it.each([["search.top=none"], ["search.depth=1"], ["find.top=1"], ["search.top"]])(
    "refuses %s before any run",
    async (set) => {
      const { code, err } = await tessera(...tuneWords(), "--set", set);
      expect(code).toBe(2);
      expect(err).toMatch(/BAD_ARGUMENT|INVALID_FLOW/);
    },
  );
});
