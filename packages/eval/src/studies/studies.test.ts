import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { cpuEngine } from "@tessera/models";
import { openVectors } from "@tessera/models/internal";
import type { SpanQuestions } from "../data-sets/converters/chunking.js";
import type { Intents } from "../data-sets/converters/clinc.js";
import type { DataSet } from "../data-sets/data-set.js";
import { chosenOn } from "../reports/outcomes.js";
import { KeptOutput } from "../reports/output.fixture.js";
import type { Output } from "../reports/output.js";
import { chunking } from "./chunking.js";
import { clinc } from "./clinc.js";
import { fusion } from "./fusion.js";
import { tuning } from "./tuning.js";

afterEach(() => {
  jest.restoreAllMocks();
});

const open = () => openVectors("code-encoder", cpuEngine({ workers: 1 }));

/** Runs a study for machines, and gives its means by system and measure. */
async function means(study: (output: Output) => Promise<number>): Promise<Record<string, Record<string, number>>> {
  const output = new KeptOutput(true);
  expect(await study(output)).toBe(0);
  const result: Record<string, Record<string, number>> = {};
  for (const { system, measure, mean } of output.lines as { system: string; measure: string; mean: number }[])
    if (system !== undefined) result[system] = { ...result[system], [measure]: mean };
  return result;
}

describe("tessera eval chunking", () => {
  // sentences of 10, 11, 16, 12 and 9 characters; the wanted one has 15 without its space
  const animals = "Cows moo. Dogs bark. Owls hunt mice. Hens cluck. Pigs dig.";
  // 11 and 11
  const ponds = "Owls swim. Frogs leap.";
  const data: SpanQuestions = {
    documents: new Map([
      ["animals", animals],
      ["ponds", ponds],
    ]),
    // one to choose by, and one to judge
    questions: [1, 2].map(() => ({ question: "Do owls hunt?", document: "animals", wanted: [{ start: 21, end: 36 }] })),
  };
  const study = (budget: number) => means((output) => chunking(output, data, { budget }));
  const figures = (recall: number, share: number) => ({
    recall,
    precision: expect.closeTo(share, 9),
    IoU: expect.closeTo(share, 9),
  });

  it("reads both documents where the budget allows it, and what is read elsewhere is of no use", async () => {
    const all = figures(1, 15 / (58 + 22));
    expect(await study(80)).toEqual({
      "windows of 200": all,
      "plain, chosen": all,
      "50 in 200": all,
      // the sentences of 11, 16 and 12 characters, and both of the pond
      "sentences ± 1": figures(1, 15 / (39 + 22)),
      "small-to-big, chosen": all,
    });
  });

  it("spends no more than the budget: what does not fit is not read", async () => {
    const nothing = figures(0, 0);
    expect(await study(57)).toEqual({
      "windows of 200": nothing,
      "plain, chosen": nothing,
      "50 in 200": nothing,
      "sentences ± 1": figures(1, 15 / 39),
      "small-to-big, chosen": figures(1, 15 / 39),
    });
  });

  it("chooses on every second question, and judges on the others", () => {
    const outcomes = {
      a: { recall: [1, 0, 1, 0], other: [5, 6, 7, 8] },
      b: { recall: [0, 1, 0, 1], other: [1, 2, 3, 4] },
    };
    const { chosen, judged } = chosenOn(outcomes, ({ recall }) => recall!, [["a", "b"], ["b"]]);
    expect(chosen).toEqual(["a", "b"]);
    expect(judged.a).toEqual({ recall: [0, 0], other: [6, 8] });
  });
});

describe("tessera eval clinc", () => {
  const examples = (intent: string, text: string, count = 34) =>
    Array.from({ length: count }, (_, index) => ({ text: `${text} ${index}`, intent }));
  const data: Intents = {
    train: [...examples("transfer", "transfer euros"), ...examples("restaurant", "book table restaurant")],
    validation: [
      { text: "transfer euros", intent: "transfer" },
      { text: "book table restaurant", intent: "restaurant" },
      { text: "euros transfer", intent: "transfer" },
      { text: "transfer euros", intent: "restaurant" }, // what no router can get right
    ],
    outsideTrain: ["penguins", "volcano erupts"],
    outsideValidation: ["glaciers", "transfer euros"], // and so is the second
  };

  it("counts what is routed rightly, in and out of scope", async () => {
    const found = await means((output) => clinc(output, data, { openVectors: open }));
    expect(Object.keys(found)).toEqual(["5-NN, hash", "semantic, hash", "semantic, trained"]);
    for (const system of ["5-NN, hash", "semantic, hash"])
      expect([system, found[system]]).toEqual([
        system,
        { "accuracy, scope known": 3 / 4, accuracy: 3 / 4, "out-of-scope recall": 1 / 2 },
      ]);
  });

  it("refuses data that leaves nothing to choose a threshold on", async () => {
    const run = (change: Partial<Intents>) => clinc(new KeptOutput(true), { ...data, ...change }, {});
    await expect(run({ train: examples("transfer", "transfer", 30) })).rejects.toMatchObject({
      code: "BAD_SOURCE",
      message: 'the study needs 31 training questions of "transfer", there are 30',
    });
    for (const change of [{ train: [] }, { outsideTrain: [] }])
      await expect(run(change)).rejects.toMatchObject({ code: "BAD_SOURCE" });
  });
});

describe("the studies of Natural Questions", () => {
  const texts = ["herons eat fish", "owls hunt mice", "wrens build nests", "bees make honey"];
  const data: DataSet = {
    passages: texts.map((text, index) => ({ id: String(index), text, metadata: {} })),
    questions: [
      ...texts.slice(0, 3).map((question, index) => ({ id: String(index), question, gold: [String(index)] })),
      { id: "3", question: "herons eat fish", gold: ["3"] }, // words find the wrong passage alone
    ],
  };

  it("fusion judges on every second question what it chose on the others", async () => {
    const found = await means((output) => fusion(output, "nq", data, {}));
    expect(Object.keys(found)).toEqual(["words", "vectors", "by rank", "default", "chosen"]);
    // of the questions 1 and 3 words answer the first, at rank 1
    expect(found.words).toEqual({ "recall@5": 1 / 2, MRR: 1 / 2 });
    // vectors rank all four passages, the wanted one of question 3 at the second place or later
    expect(found.vectors!["recall@5"]).toBe(1);
    expect(found.vectors!.MRR).toBeGreaterThanOrEqual((1 + 1 / 4) / 2);
    expect(found.vectors!.MRR).toBeLessThanOrEqual((1 + 1 / 2) / 2);
  });

  it("leave questions without a gold passage out", async () => {
    const open = [{ id: "open", question: "who knows" }, ...data.questions];
    const asked = { ...data, questions: open };
    const found = await means((output) => fusion(output, "nq", asked, {}));
    expect(found).toEqual(await means((output) => fusion(output, "nq", data, {})));
    expect(await means((output) => tuning(output, "nq", asked, { limit: 3 }))).toEqual(
      await means((output) => tuning(output, "nq", data, { limit: 3 })),
    );
  });

  it("tuning measures only questions that it did not learn from", async () => {
    const found = await means((output) => tuning(output, "nq", data, { limit: 3 }));
    expect(Object.keys(found)).toEqual(["before", "after"]);
    // question 3 alone is held out, and its words are those of another passage
    expect(found.before!["recall@5"]).toBe(1);
    expect(found.before!.MRR).toBeLessThanOrEqual(1 / 2);
  });

  it("refuse a data set too small to be divided", async () => {
    const output = new KeptOutput(true);
    await expect(fusion(output, "nq", data, { limit: 1 })).rejects.toMatchObject({
      code: "BAD_SOURCE",
      message: "the study needs 2 questions with a gold passage, there are 1",
    });
    await expect(tuning(output, "nq", data, {})).rejects.toMatchObject({
      code: "BAD_SOURCE",
      message: "the study needs 501 questions with a gold passage, there are 4",
    });
  });
});
