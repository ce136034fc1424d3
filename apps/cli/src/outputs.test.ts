import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { writeOutputs } from "./outputs.js";
import { root, tessera } from "./program.fixture.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-outputs-"));
});
afterAll(() => rm(folder, { recursive: true }));

const linesOf = async (path: string) =>
  (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("the outputs of a run as files", () => {
  it("records are lines by their split, others JSON, numbers and flags are shown as well", async () => {
    const records = (["train", "test", "train"] as const).map((split, number) => ({ split, number }));
    const out = join(folder, "deep", "first");
    const shown = await writeOutputs(out, { records, none: [], text: "a", after: 0.5, done: true });
    expect(shown).toEqual({
      ...{ records: join(out, "records"), none: join(out, "none.json"), text: join(out, "text.json") },
      ...{ after: 0.5, done: true },
    });
    expect(await linesOf(join(out, "records", "train.jsonl"))).toEqual([records[0], records[2]]);
    expect(await linesOf(join(out, "records", "test.jsonl"))).toEqual([records[1]]);
    expect(await readFile(join(out, "after.json"), "utf8")).toBe("0.5\n");
  });

  it("nothing is written over, and nothing is written where one output is there", async () => {
    const out = join(folder, "second");
    await writeOutputs(out, { text: "a" });
    await expect(writeOutputs(out, { other: "b", text: "c" })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(readFile(join(out, "other.json"))).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readFile(join(out, "text.json"), "utf8")).toBe('"a"\n');
    await writeFile(join(folder, "file"), "");
    await expect(writeOutputs(join(folder, "file"), { text: "a" })).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("row 34: tessera run writes what a flow of tuning made, train and test apart", async () => {
    const sample = "packages/flows/src/tune-both/samples/one-passage";
    const out = join(folder, "tuned");
    const given = ["--data", "packages/flows/samples/town", "--cassette", `${sample}/cassette.jsonl`];
    const { code, out: printed } = await tessera(
      ["run", "tune-both", ...given, "--input", `${sample}/input.json`, "--out", out, "--json"],
      root,
    );
    expect({ code, ...JSON.parse(printed).output }).toMatchObject({ code: 0, after: 1, chats: join(out, "chats") });
    const [train, test] = [await linesOf(join(out, "chats/train.jsonl")), await linesOf(join(out, "chats/test.jsonl"))];
    expect(train.length + test.length).toBe(6 * 5);
    const asked = new Set(train.map(({ query }) => query));
    expect(test.filter(({ query }) => asked.has(query))).toEqual([]);
  });
});
