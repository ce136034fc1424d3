import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { type Asked, lossOf, showsPlace } from "./losses.js";
import type { PlaceQuestion } from "./place-set.js";

const question: PlaceQuestion = {
  id: "p",
  half: "choosing",
  package: "x",
  path: "a.ts",
  lines: [10, 20],
  language: "en",
  question: "where?",
};
const at = (from: number, to: number, path = "a.ts") => ({ path, lines: [from, to] as [number, number] });
const passage = (from: number, to: number): Passage => ({
  id: `${from}`,
  text: "",
  source: at(from, to),
  metadata: {},
});
const asked = (more: Partial<Asked>): Asked => ({
  cited: [],
  refused: false,
  text: "",
  hits: [],
  candidates: async () => [],
  ...more,
});
const elsewhere = at(1, 5, "b.ts");

describe("where a question was lost", () => {
  it.each([
    ["right", { cited: [elsewhere, at(20, 30)] }],
    ["refused", { refused: true, hits: [at(10, 20)] }],
    ["long", { cited: [at(1, 80)] }],
    ["beside", { cited: [at(45, 50)], hits: [at(10, 20)] }],
    ["cited", { cited: [elsewhere], hits: [elsewhere, at(12, 13)] }],
    ["ranked", { cited: [elsewhere], hits: [elsewhere, elsewhere, elsewhere, at(12, 13)] }],
    ["low", { cited: [elsewhere], candidates: async () => [at(12, 13)] }],
    ["missed", { cited: [elsewhere] }],
  ] as const)("%s", async (loss, answered) =>
    expect(await lossOf(asked(answered as Partial<Asked>), question, [passage(10, 20)])).toBe(loss),
  );

  it("unread, where no passage holds the place", async () =>
    expect(await lossOf(asked({ refused: true }), question, [passage(30, 40)])).toBe("unread"));
});

describe("what an answer shows of its place", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "tessera-losses-"));
    const lines = Array.from({ length: 9 }, () => "const before = 1;");
    await writeFile(
      join(root, "a.ts"),
      [
        ...lines,
        "/**",
        " * Waits twice as",
        " * long each time.",
        " */",
        "function wait(attempt: number, most: number): void {}",
      ].join("\n"),
    );
  });
  afterAll(() => rm(root, { recursive: true, force: true }));
  it.each([
    ["`wait` in a.ts:10-14 [1]: Waits twice as long each time.", true],
    ["`wait` in a.ts:10-14 [1]\n\n    14 | function wait(attempt: number, most: number): void {}", true],
    ["`wait` in a.ts:10-14 [1]: Waits twice.", false],
    ["It waits for a long time. [1]", false],
    ["Nothing that was found answers this question.", false],
  ])("%j: %s", async (text, shows) => expect(await showsPlace(text, question, root, [])).toBe(shows));
});
