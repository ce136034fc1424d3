import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import { contextOf, countOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import fc from "fast-check";
import { quickjs } from "../sandbox/quickjs.js";
import { openSandbox, type Sandbox } from "../sandbox/sandbox.js";
import { type Arm, arms, poolsOf, runArm } from "./arms.js";
import { readLog, writeLog } from "./log.js";
import { remembering } from "./remember.js";
import { bestRound, budgetOf, compareArms, grouped, reportArms } from "./report.js";
import { runExperiment } from "./run.js";
import { figuresOf, type LoggedSample, type ScoredSample, scoreSamples, task } from "./score.js";
import { pairedBootstrap, passAtK } from "./statistics.js";

describe("pass@k", () => {
  it("agrees with counting every choice of k", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(8), fc.integer({ min: 1, max: 8 }), (n, c, k) => {
        fc.pre(c <= n && k <= n);
        let [hit, all] = [0, 0];
        for (let mask = 0; mask < 2 ** n; mask++) {
          const chosen = Array.from({ length: n }, (_, i) => (mask >> i) & 1);
          if (chosen.reduce((sum, one) => sum + one, 0) !== k) continue;
          all += 1;
          if (chosen.some((one, i) => one && i < c)) hit += 1;
        }
        expect(passAtK(n, c, k)).toBeCloseTo(hit / all, 10);
      }),
    );
    expect(() => passAtK(2, 1, 3)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});

describe("the paired bootstrap", () => {
  it("covers the true difference about as often as it says", () => {
    const random = mulberry32(11);
    let covered = 0;
    const trials = countOf({ usual: 60, long: 200 });
    for (let trial = 0; trial < trials; trial++) {
      const right = Array.from({ length: 60 }, () => Number(random() < 0.4));
      const left = right.map((value) => (random() < 0.2 ? 1 : value));
      // E[left − right] = 0.2 × 0.6
      const { low, high } = pairedBootstrap(left, right, { resamples: 400, seed: trial });
      if (low <= 0.12 && 0.12 <= high) covered += 1;
    }
    // two standard errors of 95 % over 200 trials are 3 points, over 60 six; small samples undercover a little
    expect(covered / trials).toBeGreaterThan(0.89);
    expect(covered / trials).toBeLessThan(1);
  });

  it("is exact where nothing varies, gives ratios, and refuses lists that do not pair", () => {
    expect(pairedBootstrap([1, 1, 1], [0, 0, 0])).toEqual({ value: 1, low: 1, high: 1 });
    expect(pairedBootstrap([0.5, 0.5], [0.25, 0.25], { kind: "relative" }).value).toBeCloseTo(1);
    expect(pairedBootstrap([1, 0, 1], [0, 1, 1], { seed: 4 })).toEqual(
      pairedBootstrap([1, 0, 1], [0, 1, 1], { seed: 4 }),
    );
    expect(() => pairedBootstrap([1], [])).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});

const scoredOf = (problem: string, arm: string, round: number, hidden: boolean, seen = hidden): ScoredSample => ({
  ...{
    problem,
    arm,
    round,
    seed: 0,
    code: "x",
    tokens: 10,
    extractable: true,
    passesPublic: seen,
    passesHidden: hidden,
  },
  behaviour: String(hidden),
});

describe("figures", () => {
  it("are what the definitions say", () => {
    const samples = [
      ...[scoredOf("p", "a", 0, true), scoredOf("p", "a", 0, false, true), scoredOf("p", "a", 0, false, true)],
      { ...scoredOf("p", "a", 0, false), extractable: false },
    ];
    expect(figuresOf(samples, 0)).toEqual({
      ...{
        passAt1: 0.25,
        passAll: 0.25,
        passAt5: 1,
        selectConsensus: 0,
        coverage: 1,
        extractable: 0.75,
        tokens: 40,
        samples: 4,
      },
      ...{ selectOne: expect.closeTo(1 / 3), hiddenFail: expect.closeTo(2 / 3) },
    });
    expect(figuresOf([], 0)).toMatchObject({ passAt1: 0, selectOne: 0, coverage: 0, hiddenFail: undefined });
    // nothing passes the public tests: one of all programs is handed in
    expect(figuresOf([scoredOf("p", "a", 0, false), scoredOf("p", "a", 0, true, false)], 0).selectOne).toBe(0.5);
  });

  it("give the best round, means by arm, and intervals of a comparison", () => {
    const scored = ["p", "q", "r"].flatMap((problem) => [
      ...[
        scoredOf(problem, "a", 0, false),
        scoredOf(problem, "a", 1, true),
        scoredOf(problem, "a", 2, problem === "p"),
      ],
      ...[scoredOf(problem, "b", 0, problem === "p"), scoredOf(problem, "b", 1, problem === "p")],
    ]);
    const groups = grouped(scored);
    expect(bestRound(groups, "a")).toBe(1);
    const report = reportArms(groups, 1);
    expect(report.map(({ arm, passAt1 }) => [arm, passAt1])).toEqual([
      ["a", 1],
      ["b", expect.closeTo(1 / 3)],
    ]);
    expect(report[0]!.passAt1ByRound).toEqual([0, 1]);
    const side = (arm: string) => ({ arm, measure: "passAt1" as const, round: 1 });
    const { difference, relative } = compareArms(groups, side("a"), side("b"));
    expect(difference.value).toBeCloseTo(2 / 3);
    expect(difference.low).toBeLessThanOrEqual(difference.value);
    expect(relative.value).toBeCloseTo(2);
    // "b" spent 20 tokens on each problem: "a" may keep its first two samples
    expect(reportArms(groups, 2, budgetOf(groups, "b")).map(({ samples }) => samples)).toEqual([2, 2]);
  });

  it("compare seeds that both arms have, and average them by problem", () => {
    const seeded = (problem: string, arm: string, seed: number, hidden: boolean) => ({
      ...scoredOf(problem, arm, 0, hidden),
      seed,
    });
    const groups = grouped([
      ...[seeded("p", "a", 1, true), seeded("p", "a", 2, false), seeded("q", "a", 2, true), seeded("r", "a", 1, true)],
      // its seed 1 of "p" has no counterpart in "c"
      ...[seeded("p", "b", 1, false), seeded("p", "b", 2, false), seeded("q", "b", 2, false)],
      ...[seeded("p", "c", 2, false), seeded("q", "c", 1, false)],
    ]);
    const side = (arm: string) => ({ arm, measure: "passAt1" as const, round: 0 });
    // (0.5 + 1) / 2 over "p" and "q"
    expect(compareArms(groups, side("a"), side("b"))).toMatchObject({ problems: 2, difference: { value: 0.75 } });
    expect(compareArms(groups, side("a"), side("c"))).toMatchObject({ problems: 1, difference: { value: 0 } });
  });

  it("choose from what was assembled, which is no sample", () => {
    const samples = [
      scoredOf("p", "a", 0, false, true),
      { ...scoredOf("p", "a", 0, true), tokens: 0, assembled: true },
    ];
    expect(figuresOf(samples, 0)).toMatchObject({ passAt1: 0, coverage: 0, selectOne: 0.5, tokens: 10, samples: 1 });
  });
});

const example = task.parse({
  id: "example",
  text: "Given numbers: keep the even numbers, then give the sum.",
  language: "javascript",
  entry: "solve",
  tests: [
    { call: "solve", arguments: [[1, 2, 4]], expected: 6 },
    { call: "solve", arguments: [[-1, 2]], expected: 2 },
  ],
  hidden: [
    { call: "solve", arguments: [[8, 3]], expected: 8 },
    { call: "solve", arguments: [[]], expected: 0 },
  ],
  modules: [
    "function evens(v) { return v.filter((x) => x % 2 === 0); }",
    "function total(v) { return v.reduce((s, x) => s + x, 0); }",
  ],
});
const right = `${example.modules.join("\n")}\nfunction solve(v) { return total(evens(v)); }`;
const wrong = right.replace("=== 0", "!== 0");
const lucky = "function solve(v) { return v.length === 3 ? 6 : 2; }";

describe("scoring and arms", () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await openSandbox(quickjs({ workers: 2 }), { wallMs: 1000 });
  });
  afterAll(() => sandbox.close?.());

  it("scores a log without any model: public and hidden tests, behaviour, what has no code", async () => {
    const log = [right, wrong, lucky, "", `${right} // again`].map(
      (code, n): LoggedSample => ({ problem: "example", arm: "direct", round: 0, seed: 0, code, tokens: n }),
    );
    const scored = await scoreSamples(sandbox, [example], log);
    expect(
      scored.map(({ extractable, passesPublic, passesHidden }) => [extractable, passesPublic, passesHidden]),
    ).toEqual([
      [true, true, true],
      [true, false, false],
      [true, true, false],
      [false, false, false],
      [true, true, true],
    ]);
    expect(scored[4]!.behaviour).toBe(scored[0]!.behaviour);
    expect(scored[1]!.behaviour).not.toBe(scored[0]!.behaviour);
    expect(await scoreSamples(sandbox, [], log)).toHaveLength(5);
  });

  it("every arm has the same samples, and shows what its name says", async () => {
    const shown = new Map<Arm, string>();
    for (const arm of arms) {
      const model = scriptedModel((_, call) => `\`\`\`js\n${call % 2 ? wrong : right}\n\`\`\``, {
        capabilities: ["seed"],
      });
      const context = contextOf();
      const settings = {
        ...{ model, sandbox, encoder: scriptedEncoder(), clusters: [4, 2, 1], count: 4 },
        ...{ maxTokens: 200, temperature: 1, style: "brief" as const, characters: 4000 },
        foreign: [
          {
            sample: "f",
            name: "foreign",
            parameters: 1,
            header: "",
            code: "function foreign(v) { return 7; }",
            program: "",
          },
        ],
      };
      const pools = await poolsOf(example, settings, () => context);
      expect(model.requests).toHaveLength(32);
      const rounds = await runArm(arm, example, pools, settings, context);
      expect(rounds.map(({ samples }) => samples.length)).toEqual([4, 4, 4, 4]);
      // blind arms take theirs from the pool, and what passes needs no repair
      const failing = rounds.slice(0, -1).flatMap(({ samples }) => samples.filter(({ verdict }) => !verdict!.passed));
      const asked = arm === "direct" || arm === "modular" ? 0 : arm === "self-debug" ? failing.length : 12;
      expect(model.requests.length - 32).toBe(asked);
      const paid = new Set([...pools.direct, ...pools.modular, ...rounds].flatMap(({ samples }) => samples));
      expect([...paid].reduce((sum, { tokens }) => sum + tokens, 0)).toBe(context.spent.tokens);
      shown.set(
        arm,
        model.requests
          .slice(32)
          .map(({ messages }) => messages[0]!.content)
          .join("\n"),
      );
    }
    expect([shown.get("direct"), shown.get("modular")]).toEqual(["", ""]);
    expect(shown.get("placebo")).toContain("function foreign");
    expect(shown.get("placebo")).not.toContain("function evens");
    expect(shown.get("whole")).toContain("function solve");
    for (const arm of ["codechain", "no-clustering", "behaviour", "oracle", "modules"] as const) {
      expect(shown.get(arm)).toContain("[revise]");
      expect(shown.get(arm)).not.toContain("function solve");
    }
    // the filter keeps the wrong module away; without it, it can be shown
    expect(shown.get("codechain")).not.toContain("!== 0");
    expect(shown.get("no-filter")).toContain("function evens");
    expect(shown.get("self-debug")).toContain("[debug]");
    await expect(
      runArm("else" as Arm, example, { direct: [], modular: [] }, {} as never, contextOf()),
    ).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
  });

  it("logs every sample of every arm once, with pools that arms share, and the log alone scores", async () => {
    // a simulation, not a model: right in one of three, always right with a module shown
    const model = scriptedModel(
      ({ messages, seed }) =>
        `\`\`\`js\n${messages[0]!.content.includes("v.filter((x) => x % 2 === 0)") || mulberry32(seed!)() < 1 / 3 ? right : wrong}\n\`\`\``,
      { capabilities: ["seed"] },
    );
    const tasks = [example, { ...example, id: "other" }];
    const settings = {
      ...{ model, sandbox, encoder: scriptedEncoder(), clusters: [2, 1], count: 6, seeds: [0, 1] },
      ...{ maxTokens: 200, temperature: 1, style: "brief" as const, characters: 4000 },
      context: (id: string, arm: string, seed: number) =>
        contextOf({ path: `${id}/${arm}/${seed}`, random: mulberry32(id.length * 1000 + arm.length * 10 + seed) }),
    };
    const log: LoggedSample[] = [];
    for await (const one of runExperiment(tasks, settings)) log.push(one);
    const sampled = log.filter(({ assembled }) => !assembled);
    expect(sampled).toHaveLength(tasks.length * 2 * arms.length * 3 * 6);
    const firstOf = (arm: Arm) => log.filter((one) => one.arm === arm && one.round === 0).map(({ code }) => code);
    expect(firstOf("codechain")).toEqual(firstOf("modular"));
    expect(firstOf("self-debug")).toEqual(firstOf("direct"));
    const path = join(await mkdtemp(join(tmpdir(), "codechain-")), "log.jsonl.br");
    await writeLog(path, log);
    const read = await readLog(path);
    const inOrder = (list: readonly LoggedSample[]) => list.map((one) => JSON.stringify(one)).sort();
    expect(inOrder(read)).toEqual(inOrder(log));
    // pools of a log are not drawn again, and all else is as it was
    const asked = model.requests.length;
    const again: LoggedSample[] = [];
    for await (const one of runExperiment([example], { ...settings, seeds: [1], log: read, arms: ["codechain"] }))
      again.push(one);
    const before = log.filter(({ problem, seed, arm }) => problem === "example" && seed === 1 && arm === "codechain");
    expect(inOrder(again)).toEqual(inOrder(before));
    expect(model.requests.length - asked).toBe(12);
    const groups = grouped(await scoreSamples(sandbox, tasks, read));
    const report = reportArms(groups, 2);
    const of = (arm: Arm) => report.find((one) => one.arm === arm)!;
    for (const one of report) expect(one.samples).toBe(18);
    expect(of("codechain").passAt1ByRound[2]!).toBeGreaterThan(of("modular").passAt1ByRound[2]!);
    // both true modules are shown in the first revision
    expect(of("oracle").passAt1ByRound[1]).toBe(1);
    const side = (arm: Arm) => ({ arm, measure: "selectOne" as const, round: 2 });
    const { difference } = compareArms(groups, side("codechain"), side("modular"));
    expect(difference.low).toBeLessThanOrEqual(difference.high);
  });

  it("runs equal work once, and a frozen problem draws from its pool", async () => {
    let runs = 0;
    const counting: Sandbox = {
      revision: sandbox.revision,
      languages: sandbox.languages,
      close: async () => sandbox.close?.(),
      judge(...work) {
        runs += 1;
        return sandbox.judge(...work);
      },
      call(...work) {
        runs += 1;
        return sandbox.call(...work);
      },
    };
    const model = scriptedModel(() => `\`\`\`js\n${wrong}\n\`\`\``, { capabilities: ["seed"] });
    const settings = {
      ...{ model, sandbox: remembering(counting), encoder: scriptedEncoder(), clusters: [2, 1], count: 4, foreign: [] },
      ...{ maxTokens: 200, temperature: 1, style: "brief" as const, characters: 4000 },
    };
    const pools = await poolsOf(example, settings, () => contextOf());
    expect(runs).toBe(1);
    const rounds = await runArm("codechain", example, pools, settings, contextOf());
    expect(rounds.map(({ samples }) => samples)).toEqual(pools.modular.map(({ samples }) => samples));
    expect(model.requests).toHaveLength(24);
  });
});
