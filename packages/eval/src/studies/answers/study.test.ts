import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { GenerateRequest } from "@tessera/core";
import { scriptedModel } from "@tessera/testkit";
import { KeptOutput } from "../../reports/output.fixture.js";
import type { TwinFigure } from "../model-operators/tasks.js";
import { evaluateAnswers } from "./study.js";

const data = (name: string): string => fileURLToPath(new URL(`../../../data/${name}`, import.meta.url));
const published = fileURLToPath(new URL("../../../fixtures", import.meta.url));

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "tessera-answers-"));
});
afterAll(() => rm(work, { recursive: true }));

/** A model that cites the first passage, and refuses every second question. */
const everySecond = () => {
  let calls = 0;
  return scriptedModel((_: GenerateRequest) => (calls++ % 2 === 0 ? "It does so [1]." : "NO ANSWER"));
};

const figureOf = ({ lines }: KeptOutput, task: string, measure: string) =>
  lines.find((line) => line.task === task && line.measure === measure) as unknown as TwinFigure;

describe("tessera eval answers", () => {
  it("replays what a real model answered without any model, and finds what the lines say", async () => {
    const output = new KeptOutput(true);
    // neither a model nor published data: the questions and the answers come with the repository
    expect(await evaluateAnswers(output, { folder: "nowhere", sets: "held-out" })).toBe(0);
    const [head, ...said] = (await readFile(data("answers/smollm2-135m-instruct.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { set: string; id: string; text: string; model: string; scripted?: boolean });
    expect(head).toMatchObject({ model: expect.stringContaining("SmolLM2") });
    expect(head).not.toHaveProperty("scripted");
    const questions = new Map(
      (await readFile(data("language-model/questions.jsonl"), "utf8"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { id: string; gold?: string[] })
        .map((question) => [question.id, question]),
    );
    const asked = said.filter(({ set }) => set === "held-out");
    expect(asked.length).toBeGreaterThanOrEqual(60);
    // the refusals counted by hand, from the words that a refusal has
    const right = asked.filter(
      ({ id, text }) => /^\W*NO ANSWER\b/.test(text) !== (questions.get(id)!.gold ?? []).length > 0,
    );
    const { model, rule } = figureOf(output, "held-out", "right refusal");
    expect(model).toMatchObject({ mean: right.length / asked.length, count: asked.length });
    expect(rule.count).toBe(asked.length);
    expect(model.low).toBeLessThanOrEqual(model.mean);
  });

  it("asks a model once: a recording that broke off is gone on with, and is enough by itself then", async () => {
    const recording = join(work, "every-second.jsonl");
    const settings = { folder: published, recording };
    const first = everySecond();
    await evaluateAnswers(new KeptOutput(true), {
      ...settings,
      sets: "held-out",
      limit: 3,
      openModel: async () => first,
    });
    expect(first.requests).toHaveLength(3);
    // the process was killed while it wrote
    const whole = await readFile(recording, "utf8");
    await writeFile(recording, whole.slice(0, -20));
    const second = everySecond();
    const asked = new KeptOutput(true);
    await evaluateAnswers(asked, { ...settings, limit: 5, openModel: async () => second });
    expect(second.requests.length).toBeGreaterThan(3); // two of five, the one that was cut, and those of the other set
    const replayed = new KeptOutput(true);
    expect(await evaluateAnswers(replayed, settings)).toBe(0);
    expect(replayed.lines).toEqual(asked.lines);
    expect(figureOf(replayed, "nq", "accepted answer").model.count).toBeGreaterThan(0);
    expect(replayed.lines[0]).toMatchObject({ by: "model", operators: { rule: "generator.extract" } });
  });

  it("says how many answers were given to other prompts, and reads them with the passages that they had", async () => {
    const recording = join(work, "other.jsonl");
    const settings = { folder: published, recording, sets: "held-out" };
    const model = everySecond();
    await evaluateAnswers(new KeptOutput(true), { ...settings, limit: 2, openModel: async () => model });
    const text = await readFile(recording, "utf8");
    await writeFile(recording, text.replaceAll(/"request":"[0-9a-f]+"/g, '"request":"of another build"'));
    const output = new KeptOutput(true);
    await evaluateAnswers(output, settings);
    expect(output.err).toMatch(/^2 of 2 answers/);
  });

  it("refuses a recording of another model, a model without a file, unknown questions, and a damaged line by its place", async () => {
    const recording = join(work, "refused.jsonl");
    const openModel = async () => everySecond();
    const settings = { folder: published, sets: "held-out", limit: 1 };
    const output = new KeptOutput(true);
    await evaluateAnswers(output, { ...settings, recording, openModel });
    await expect(
      evaluateAnswers(output, {
        ...settings,
        recording,
        openModel: async () => ({ ...everySecond(), revision: "another" }),
      }),
    ).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: recording, hint: expect.stringContaining("another file") });
    await expect(evaluateAnswers(output, { ...settings, openModel })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      hint: expect.stringContaining("--recording"),
    });
    await expect(evaluateAnswers(output, { folder: published, sets: "nq, hold-out" })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      hint: expect.stringContaining("held-out"),
    });
    await writeFile(recording, `${await readFile(recording, "utf8")}{"set":"nq"}\n`);
    await expect(evaluateAnswers(output, { ...settings, recording })).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: `${recording}:3`,
    });
    await expect(evaluateAnswers(output, { ...settings, recording: join(work, "none.jsonl") })).rejects.toMatchObject({
      code: "BAD_SOURCE",
    });
  });
});
