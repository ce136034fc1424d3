import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { flows } from "@tessera/flows";
import { openCassette } from "@tessera/models";
import { scriptedModel } from "@tessera/testkit";
import { type RunCommandOptions, run } from "./commands/run.js";
import { root } from "./program.fixture.js";
import { Terminal } from "./terminal.js";

const town = join(root, "packages/flows/samples/town");
const database = join(root, "packages/flows/src/planrag/samples/towns.db");
let folder: string;
let cassette: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-bad-runs-"));
  cassette = join(folder, "empty.jsonl");
  // it can do everything, and knows no answer
  const able = scriptedModel(["said"], { capabilities: ["logprobs", "prefix", "json", "seed", "score"] });
  const recording = await openCassette(cassette, { model: able });
  for await (const _ of recording.generate({ messages: [], maxTokens: 1 }));
});
afterAll(() => rm(folder, { recursive: true }));

const sink = () => new Writable({ write: (_, __, done) => done() });

/** What `tessera run` ends with. */
async function failure(flow: string, options: Partial<RunCommandOptions>): Promise<unknown> {
  const terminal = new Terminal({ json: true, stack: false }, sink(), sink());
  try {
    return { code: "none", exit: await run(terminal, flow, { input: "{}", ...options }) };
  } catch (error) {
    expect(TesseraError.is(error)).toBe(true);
    return error;
  }
}

describe.each([...flows.keys()])("tessera run %s", (name) => {
  const resources = () => ({ data: town, database, cassette });
  const text = readFileSync(join(root, "packages/flows/src", name, "flow.json"), "utf8");
  const damaged = async (change: (text: string) => string): Promise<string> => {
    const file = join(folder, `${name}.json`);
    await writeFile(file, change(text));
    return file;
  };

  it("names the input that is missing, and one that does not fit", async () => {
    const [port] = Object.keys(flows.get(name)!.flow.document.input);
    const path = `${name}.${port}`;
    expect(await failure(name, resources())).toMatchObject({ code: "BAD_INPUT", path });
    const input = JSON.stringify({ [port!]: 5 });
    expect(await failure(name, { ...resources(), input })).toMatchObject({ code: "BAD_INPUT", path });
  });

  it("says which option gives a resource that the flow names and nobody gave", async () => {
    const { data: _, database: __, cassette: ___, ...none } = resources();
    const missing = (await failure(name, none)) as { code: string; findings?: { code: string; hint: string }[] };
    for (const { code, hint } of missing.findings ?? [])
      if (code === "UNKNOWN_RESOURCE") expect(hint).toMatch(/^(--|did you mean|known)/);
    expect(missing.code === "INVALID_FLOW" || missing.code === "BAD_INPUT").toBe(true);
  });

  it("names the model that there is none of", async () => {
    expect(await failure(name, { ...resources(), cassette: undefined, model: "no-such" } as object)).toMatchObject({
      code: "UNKNOWN_RESOURCE",
      path: "model/no-such",
      hint: expect.stringContaining("code-language-model"),
    });
  });

  it("of a damaged flow.json it says what is wrong, and where", async () => {
    const cut = await damaged((text) => text.slice(0, text.length / 2));
    expect(await failure(cut, resources())).toMatchObject({ code: "BAD_JSON", path: cut });
    const unknown = await damaged((text) => text.replace(/"run": "[a-z]+\./, '"run": "no-such.'));
    expect(await failure(unknown, resources())).toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining({ code: "UNKNOWN_OPERATOR" })]),
    });
    const loose = await damaged((text) => {
      const document = JSON.parse(text);
      const [output] = Object.keys(document.output);
      return JSON.stringify({ ...document, output: { ...document.output, [output!]: "no-such.port" } });
    });
    expect(await failure(loose, resources())).toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining({ message: expect.stringContaining("no-such") })]),
    });
  });
});
