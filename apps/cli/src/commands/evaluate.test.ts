import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { writeDataSet } from "@tessera/eval";
import { linear } from "@tessera/flows/internal";
import { Command } from "commander";
import { root } from "../program.fixture.js";
import { Terminal } from "../terminal.js";
import { evaluationCommands } from "./evaluate.js";

const passages = [
  { id: "heron", title: "Heron", text: "The heron stands in shallow water and eats fish.", metadata: {} },
  { id: "owl", title: "Owl", text: "The owl hunts mice at night.", metadata: {} },
  { id: "wren", title: "Wren", text: "The wren builds several nests.", metadata: {} },
];
const questions = [
  { id: "1", question: "Which bird eats fish?", gold: ["heron"] },
  { id: "2", question: "What hunts mice at night?", gold: ["owl"] },
  { id: "3", question: "Which bird builds several nests?", gold: ["wren"] },
];

let folder: string;
const home = process.env.TESSERA_DATA;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-cli-eval-"));
  await writeDataSet(folder, { passages, questions });
});
afterEach(async () => {
  jest.restoreAllMocks();
  if (home === undefined) delete process.env.TESSERA_DATA;
  else process.env.TESSERA_DATA = home;
  await rm(folder, { recursive: true, force: true });
});

/** Runs `tessera eval …`: what it printed, its lines of JSON where it prints them, and what it threw. */
async function evaluation(...words: string[]) {
  const json = words.includes("--json");
  const out = new PassThrough();
  const terminal = new Terminal({ json, stack: false }, out, new PassThrough());
  let code: number | undefined;
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  evaluationCommands(
    program.command("eval").exitOverride(),
    (work) =>
      async (...given) => {
        code = await work(terminal, ...(given as never[]));
      },
    new AbortController().signal,
  );
  await program.parseAsync(["eval", ...words.filter((word) => word !== "--json")], { from: "user" });
  const text = `${out.read() ?? ""}`;
  return {
    code,
    text,
    lines: json
      ? text
          .split("\n")
          .filter(Boolean)
          .map((one) => JSON.parse(one))
      : [],
  };
}

describe("tessera eval", () => {
  it("prints one JSON line a metric, with its interval, and keeps a line a question", async () => {
    const out = join(folder, "linear.jsonl");
    // "run" may be left out
    const { code, lines } = await evaluation("--flow", "linear", "--data", folder, "--out", out, "--json");
    expect(code).toBe(0);
    expect(lines.find(({ metric }) => metric === "recall@1")).toEqual({
      data: folder,
      flow: "linear",
      metric: "recall@1",
      mean: 1,
      low: 1,
      high: 1,
      count: 3,
      questions: 3,
      failed: 0,
    });
    expect((await readFile(out, "utf8")).trimEnd().split("\n")).toHaveLength(3);
  });

  it("row 61: runs a grid beside no retrieval and plain RAG, as a report, and takes up where it was", async () => {
    const out = join(folder, "grid");
    const words = ["grid", "--flows", "linear,hybrid", "--data", folder, "--out", out];
    const { code, lines } = await evaluation(...words, "--json");
    expect(code).toBe(0);
    expect([...new Set(lines.map(({ flow }) => flow))]).toEqual(["no-retrieval", "plain-rag", "linear", "hybrid"]);
    const report = await readFile(join(out, "report.html"), "utf8");
    expect(report).toContain("hybrid − plain-rag");
    // milliseconds of a second run would differ
    expect((await evaluation(...words, "--json")).lines).toEqual(lines);
    await expect(evaluation("grid", "--flows", "hyde", "--data", folder, "--out", out)).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      message: expect.stringContaining("hyde"),
    });
  });

  it("runs a grid over models: a scripted cassette is labelled so, beside rows that ask no model", async () => {
    const town = join(root, "packages/flows/samples/town");
    const cassette = join(town, "answers.cassette.jsonl");
    const out = join(folder, "models");
    const words = ["--flows", "linear,step-back", "--data", town, "--model", cassette, "--out", out];
    const { code, lines } = await evaluation("grid", ...words, "--json");
    expect(code).toBe(0);
    const label = "scripted: answers.cassette.jsonl";
    const rows = new Set(lines.map(({ flow, model, failed }) => `${flow} · ${model} · ${failed} failed`));
    expect([...rows]).toEqual([
      ...["no-retrieval", "plain-rag", "linear"].map((flow) => `${flow} · none · 0 failed`),
      ...["no-retrieval", "plain-rag", "step-back"].map((flow) => `${flow} · ${label} · 0 failed`),
    ]);
    const accuracy = (flow: string) =>
      lines.find((one) => one.flow === flow && one.model === label && one.metric === "accuracy")!.mean;
    // what the script says to the nine questions with answers is right; without passages it knows nothing
    expect([accuracy("plain-rag"), accuracy("no-retrieval")]).toEqual([1, 0]);
    const report = await readFile(join(out, "report.html"), "utf8");
    expect(report).toContain("written by hand");
    expect(report).toContain(`step-back · ${label} − plain-rag`);
  });

  it("row 4: shows per question what one changed line of a flow does", async () => {
    const changed = structuredClone(linear.document);
    changed.nodes.retrieve!.run = "retriever.dense";
    changed.nodes.retrieve!.with = { store: "dense", encoder: "encoder", top: 1 };
    await writeFile(join(folder, "changed.json"), JSON.stringify(changed));
    await evaluation("run", "--flow", "linear", "--data", folder, "--out", join(folder, "a.jsonl"));
    const file = join(folder, "changed.json");
    await evaluation("run", "--flow", file, "--data", folder, "--out", join(folder, "b.jsonl"));
    const { code, text } = await evaluation("diff", join(folder, "a.jsonl"), join(folder, "b.jsonl"));
    expect(code).toBe(0);
    expect(text).toMatch(/linear .* → linear .*paired bootstrap/);
    expect(text).toMatch(/recall@5 +1\.000 +\d\.\d{3} /);
    const { lines } = await evaluation("diff", join(folder, "a.jsonl"), join(folder, "b.jsonl"), "--json");
    const recall = lines.find(({ metric, larger }) => metric === "recall@5" && larger !== undefined);
    expect(recall.larger + recall.smaller + recall.equal).toBe(3);
    await expect(
      evaluation("diff", join(folder, "a.jsonl"), join(folder, "b.jsonl"), "--metric", "recal@5"),
    ).rejects.toMatchObject({ code: "BAD_ARGUMENT", hint: expect.stringContaining("recall@5") });
  });

  it("measures a published data set with the flows beside each other, and says loudly where it is missing", async () => {
    process.env.TESSERA_DATA = folder;
    await expect(evaluation("nq")).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: join(folder, "nq", "corpus.json"),
      hint: expect.stringContaining("TESSERA_DATA"),
    });
    process.env.TESSERA_DATA = new URL("../../../../packages/eval/fixtures", import.meta.url).pathname;
    const { text } = await evaluation("musique");
    expect(text).toMatch(/^ +linear +hybrid +dense +walk +gold-steps$/m);
    expect(text).toMatch(/^all-gold@5( +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]){5}$/m);
    expect(text).toMatch(/^hybrid − dense +MRR/m);
    const converted = join(folder, "converted");
    await evaluation("convert", "nq", converted);
    expect((await readFile(join(converted, "questions.jsonl"), "utf8")).trimEnd()).toBe(
      '{"id":"4","question":"what lifts boats","answers":["a lock","Lock"],"gold":["7"]}',
    );
  });

  it("asks the questions of another data set, and measures no gold passages there", async () => {
    const other = join(folder, "other");
    const strange = [{ id: "1", question: "How do turbines spin?", gold: ["heron"] }];
    await writeDataSet(other, { passages, questions: strange });
    const { lines } = await evaluation("--flow", "linear", "--data", folder, "--questions", other, "--json");
    expect(lines.map(({ metric }) => metric)).not.toContain("recall@5");
    expect(lines.find(({ metric }) => metric === "refuses")).toMatchObject({ mean: 1, questions: 1 });
  });

  it("records what a service answers, and replays it offline to the same figures", async () => {
    let requests = 0;
    const service = createServer((request, response) => {
      requests++;
      request.resume().on("end", () => {
        response.setHeader("content-type", "application/json");
        const message = { content: "The owl hunts mice [1]." };
        const usage = { prompt_tokens: 90, completion_tokens: 8 };
        response.end(JSON.stringify({ choices: [{ message, finish_reason: "stop" }], usage }));
      });
    });
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    const { port } = service.address() as AddressInfo;
    const file = join(folder, "written.json");
    const written = structuredClone(linear.document);
    written.nodes.answer!.run = "generator.answer";
    written.nodes.answer!.with = { model: "model" };
    written.output = { answer: "answer.answer", hits: "retrieve.hits" };
    await writeFile(file, JSON.stringify(written));
    const asked = ["--flow", file, "--data", folder, "--cassette", join(folder, "cassette.jsonl"), "--json"];
    const figures = ({ lines }: Awaited<ReturnType<typeof evaluation>>) =>
      lines.filter(({ metric }) => metric !== "milliseconds");
    const address = `http://127.0.0.1:${port}/v1`;
    const recorded = await evaluation(...asked, "--endpoint", address, "--model", "small");
    expect(requests).toBe(3);
    await new Promise((resolve) => service.close(resolve));
    const replayed = await evaluation(...asked);
    expect(figures(replayed)).toEqual(figures(recorded));
    expect(figures(replayed)).toContainEqual(expect.objectContaining({ metric: "calls", mean: 1, failed: 0 }));
    expect(requests).toBe(3);
    await expect(evaluation(...asked, "--model", "small")).rejects.toThrow('no model "small"');
    await expect(evaluation(...asked, "--endpoint", address)).rejects.toThrow("--endpoint needs --model");
  });

  it("says what is wrong with a misspelt name, a set without a question, and a run of which every question failed", async () => {
    await expect(evaluation("musiqe")).rejects.toThrow('there is no "eval musiqe"; did you mean "musique"?');
    await writeFile(join(folder, "questions.jsonl"), "");
    await expect(evaluation("--flow", "linear", "--data", folder, "--json")).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: "questions.jsonl",
      hint: expect.stringContaining("question"),
    });
    await writeFile(join(folder, "corpus.jsonl"), '{"id":');
    await expect(evaluation("--flow", "linear", "--data", folder)).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: join(folder, "corpus.jsonl:1"),
      hint: expect.stringContaining("text"),
    });
    const town = join(root, "packages/flows/samples/town");
    const cassette = join(root, "packages/flows/src/replug/samples/vote/cassette.jsonl");
    const { code, lines } = await evaluation("--flow", "rrr", "--data", town, "--cassette", cassette, "--json");
    expect(code).toBe(1);
    expect(lines.filter(({ reason }) => reason?.startsWith("RECORD_MISSING at rrr/rewrite"))).not.toEqual([]);
    expect(lines.reduce((sum, { failed, reason }) => sum + (reason ? failed : 0), 0)).toBe(lines[0].questions);
  });

  it("refuses a flow whose resources are missing before it asks anything", async () => {
    await expect(evaluation("run", "--flow", "loop", "--data", folder)).rejects.toMatchObject({
      code: "INVALID_FLOW",
      findings: expect.arrayContaining([expect.objectContaining({ hint: expect.stringContaining("--cassette") })]),
    });
  });
});
