import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import type { Answer, Hit } from "@tessera/core";
import { type ModelScript, ruledModel } from "@tessera/testkit";
import { flows } from "./catalogue.js";
import { ids, trace } from "./trace.fixture.js";

interface Expected {
  /** Why it must be so. */
  readonly why: string;
  /** Some of the outputs; of hits, the ids of the first ones. */
  readonly output: Readonly<Record<string, unknown>>;
  /** How often the model is asked. */
  readonly calls: number;
  /** How often each operator runs. */
  readonly ran: Readonly<Record<string, number>>;
}

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const read = (path: string): unknown => JSON.parse(readFileSync(folder(path), "utf8"));

const cases = [...flows.keys()].flatMap((name) =>
  existsSync(folder(`./${name}/samples`))
    ? readdirSync(folder(`./${name}/samples`), { withFileTypes: true })
        .filter(({ name: sample }) => existsSync(folder(`./${name}/samples/${sample}/expected.json`)))
        .map((entry) => [name, entry.name] as const)
    : [],
);

const isHits = (value: unknown): value is Hit[] =>
  Array.isArray(value) && value.every((member) => typeof member === "object" && member?.passage !== undefined);
const isAnswer = (value: unknown): value is Answer =>
  typeof value === "object" && value !== null && Array.isArray((value as Answer).citations);

/** An output in the short form of expected.json. */
function short(value: unknown, wanted: unknown): unknown {
  if (isHits(value) && Array.isArray(wanted)) return ids(value).slice(0, wanted.length || undefined);
  if (isAnswer(value)) return { cites: value.citations.map(({ passage }) => passage), refused: value.refused };
  return value;
}

describe("samples: a small corpus, real stores, a scripted model", () => {
  it.each(cases)("%s: %s", async (name, sample) => {
    const at = `./${name}/samples/${sample}`;
    const expected = read(`${at}/expected.json`) as Expected;
    const model = ruledModel(
      existsSync(folder(`${at}/model.json`)) ? (read(`${at}/model.json`) as ModelScript) : { rules: [] },
    );
    const { output, status, spent, ran, bound } = await trace(
      flows.get(name)!.flow,
      read(`${at}/input.json`) as object,
      model,
    );
    expect(status).toBe("done");
    const got = Object.fromEntries(
      Object.entries(expected.output).map(([port, wanted]) => [
        port,
        short((output as Record<string, unknown>)[port], wanted),
      ]),
    );
    expect(got).toEqual(expected.output);
    const named = Object.entries(ran).filter(([operator]) => operator.includes("."));
    expect(Object.fromEntries(named)).toEqual(expected.ran);
    expect(model.requests).toHaveLength(expected.calls);
    expect(spent.calls).toBe(expected.calls);
    expect(spent.calls).toBeLessThanOrEqual(bound.calls);
    expect(spent.tokens).toBeLessThanOrEqual(bound.tokens);
  });
});
