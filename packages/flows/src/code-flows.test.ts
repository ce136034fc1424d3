import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import * as coder from "@tessera/coder";
import type { Flow, FlowEvent, GenerateRequest, Host, LanguageModel } from "@tessera/core";
import { canonical, isOperator, mean, mulberry32 } from "@tessera/core/internal";
import * as data from "@tessera/data";
import { checkFlow, compile } from "@tessera/graph";
import { hostOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { bestOfN } from "./best-of-n/flow.js";
import { codechain } from "./codechain/flow.js";
import { codechainModules } from "./codechain-modules/flow.js";
import { consensus } from "./consensus/flow.js";
import { funcoder } from "./funcoder/flow.js";
import { selfDebug } from "./self-debug/flow.js";

const operators = [...Object.values<unknown>(coder), ...Object.values<unknown>(data)].filter(isOperator);
const sample = JSON.parse(
  readFileSync(new URL("./codechain/samples/even-squares/input.json", import.meta.url), "utf8"),
) as {
  problem: coder.Problem;
};

// biome-ignore lint/suspicious/noExplicitAny: flows of different ports
const flows: Flow<any, any>[] = [bestOfN, codechain, codechainModules, consensus, funcoder, selfDebug];

/** Three modules, each in a right and a wrong form: a program is right where all three are. */
const modules = {
  collapse: ["list.filter((n, i) => i === 0 || n !== list[i - 1])", "[...new Set(list)].reverse()"],
  squares: ["list.map((n) => n * n)", "list.map((n) => n + n)"],
  sumEven: ["list.filter((n) => n % 2 === 0).reduce((sum, n) => sum + n, 0)", "list.reduce((sum, n) => sum + n, 0)"],
} as const;
type Name = keyof typeof modules;
const names = Object.keys(modules) as Name[];
const source = (name: Name, right: boolean) => `function ${name}(list) { return ${modules[name][right ? 0 : 1]}; }`;
const programOf = (rights: Record<Name, boolean>) =>
  [
    ...names.map((name) => source(name, rights[name])),
    "function solve(list) { return sumEven(squares(collapse(list))); }",
  ].join("\n");

/**
 * A simulation of a model, not a model: it gets each module right with probability p, and copies a module that it is shown
 * with probability c.
 */
function simulated(p: number, c: number): LanguageModel & { requests: GenerateRequest[] } {
  return scriptedModel(
    ({ messages, seed }) => {
      const random = mulberry32(seed!);
      const shown = messages.at(-1)!.content;
      const rights = Object.fromEntries(
        names.map((name) => {
          const known = [true, false].find((right) => shown.includes(source(name, right)));
          const copies = random() < c;
          const own = random() < p;
          return [name, known !== undefined && copies ? known : own];
        }),
      ) as Record<Name, boolean>;
      return `STEP 1\nSTEP 2\n\`\`\`javascript\n${programOf(rights)}\n\`\`\``;
    },
    { capabilities: ["seed"] },
  );
}

let sandbox: coder.Sandbox;
beforeAll(async () => {
  sandbox = await coder.openSandbox(coder.quickjs({ workers: 2 }), { wallMs: 500 });
});
afterAll(() => sandbox.close?.());
const hostWith = (model: LanguageModel): Host =>
  hostOf({ "model/model": model, "encoder/encoder": scriptedEncoder(), "sandbox/sandbox": sandbox });

type Round = coder.Sample[];
const share = (round: Round) => round.filter(({ verdict }) => verdict!.passed).length / round.length;

describe("the flows that write code", () => {
  for (const { document } of flows) {
    it(`${document.name}: flow.json is what the code composes, and it compiles`, () => {
      const json = JSON.parse(readFileSync(new URL(`./${document.name}/flow.json`, import.meta.url), "utf8"));
      expect(canonical(json)).toEqual(canonical(document));
      expect(checkFlow(json, operators).findings).toEqual([]);
    });

    it(`${document.name}: solves the sample, within its bound and its budget`, async () => {
      const model = simulated(0.7, 0.9);
      const compiled = await compile(document, { operators, host: hostWith(model) });
      const { status, output, spent } = await compiled.run(sample, { seed: 3 });
      expect(status).toBe("done");
      expect(output.passed).toBe(true);
      expect(spent.calls).toBe(model.requests.length);
      expect(spent.calls).toBeLessThanOrEqual(compiled.bound.calls);
      expect(spent.tokens).toBeLessThanOrEqual(compiled.bound.tokens);
      const hidden = [{ call: "solve", arguments: [[4, 4, 4, 1, 6, 6, 4]], expected: 68 }];
      expect(await sandbox.judge(output.code as string, hidden)).toMatchObject({ passed: true });
      const again = await (await compile(document, { operators, host: hostWith(simulated(0.7, 0.9)) })).run(sample, {
        seed: 3,
      });
      expect(again.output.code).toBe(output.code);
    });
  }

  it("spend no more samples than CodeChain's 20 × 6", () => {
    const calls = Object.fromEntries(
      flows.map(({ document }) => [document.name, checkFlow(document, operators).bound.calls]),
    );
    expect(calls).toEqual({
      ...{
        "best-of-n": 120,
        codechain: 120,
        "codechain-modules": 120,
        consensus: 120,
        funcoder: 40,
        "self-debug": 120,
      },
    });
  });

  it("end within the budget of a run, with what was reached", async () => {
    const model = simulated(0.7, 0.9);
    const compiled = await compile(codechain.document, { operators, host: hostWith(model) });
    const { status, spent } = await compiled.run(sample, { budget: { calls: 50 } });
    expect(status).toBe("budget");
    expect(spent.calls).toBe(40);
  });
});

describe("codechain", () => {
  const watch = async (model: LanguageModel, seed = 1) => {
    const compiled = await compile(codechain.document, { operators, host: hostWith(model) });
    const stream = compiled.stream(sample, { seed });
    const events: FlowEvent[] = [];
    for await (const event of stream) events.push(event);
    const { output } = await stream.result;
    return { events, rounds: output.rounds as Round[], output };
  };

  it("shows each round in the trace: tests, modules, clusters, representatives", async () => {
    const { events } = await watch(simulated(0.7, 0.9));
    for (const turn of [1, 2, 3, 4, 5])
      for (const node of ["test", "filter", "extract", "represent", "cluster", "revise"])
        expect(events).toContainEqual(
          expect.objectContaining({ type: "node-end", path: `codechain/revisions#${turn}/${node}` }),
        );
    const representatives = events
      .filter((event) => event.type === "node-end" && event.path.endsWith("/cluster"))
      .map((event) => (event as { output: { representatives: unknown[] } }).output.representatives.length);
    expect(representatives).toHaveLength(5);
    for (const [index, count] of representatives.entries()) expect(count).toBeLessThanOrEqual(5 - index);
  });

  it("agrees with the known answer: pass@1 goes from p³ to (c v + (1 − c) p)³", async () => {
    // v: the part of right representatives, here 1, since only passing programs are taken apart; K = 1 shows one module
    const [p, c] = [0.7, 0.9];
    const firsts: number[] = [];
    const seconds: number[] = [];
    for (let seed = 0; seed < 8; seed++) {
      const { rounds } = await watch(simulated(p, c), seed);
      firsts.push(share(rounds[0]!));
      seconds.push(share(rounds[1]!));
    }
    // 160 samples: three standard errors are 0.12
    expect(Math.abs(mean(firsts) - p ** 3)).toBeLessThan(0.12);
    expect(Math.abs(mean(seconds) - (c + (1 - c) * p) ** 3)).toBeLessThan(0.12);
  });

  it("freezes a problem that no sample passes: one round of calls, and round 0 is what it gives", async () => {
    const model = simulated(0, 0);
    const { rounds, output } = await watch(model);
    expect(model.requests).toHaveLength(20);
    expect(output.passed).toBe(false);
    expect(rounds.map((round) => round.map(({ code }) => code))).toEqual(
      [rounds[0], rounds[0]].map((round) => round!.map(({ code }) => code)),
    );
  });

  it("falls back to the last round that had a passing sample", async () => {
    let calls = 0;
    const right = programOf({ collapse: true, squares: true, sumEven: true });
    const model = scriptedModel(() => (++calls <= 20 ? `\`\`\`js\n${right}\n\`\`\`` : "nothing"), {
      capabilities: ["seed"],
    });
    const { rounds, output } = await watch(model);
    expect(rounds.map(share)).toEqual([1, 0, 0, 0, 0, 0]);
    expect(output).toMatchObject({ passed: true, code: right });
    // the modules of round 0 are shown again in every later round
    expect(model.requests).toHaveLength(120);
    expect(model.requests.at(-1)!.messages.at(-1)!.content).toContain("function-");
  });

  it("takes answers without code, with wrong fences, and of any length", async () => {
    const answers = [
      "",
      "```",
      "no code here",
      "```python\nprint(1)\n```",
      "x".repeat(300_000),
      "```js\nfor(;;);\n```",
    ];
    const model = scriptedModel((_, call) => answers[call % answers.length]!, { capabilities: ["seed"] });
    const { rounds, output } = await watch(model);
    expect(output.passed).toBe(false);
    expect(new Set(rounds[0]!.map(({ verdict }) => verdict!.reason))).toEqual(new Set(["no-code", "error", "timeout"]));
  });
});

describe("codechain-modules", () => {
  it("solves what no single sample solves, where codechain freezes", async () => {
    // every sample has exactly one wrong module, a different one in turn
    const model = scriptedModel(
      (_, call) => {
        const wrong = names[call % 3]!;
        const rights = Object.fromEntries(names.map((name) => [name, name !== wrong])) as Record<Name, boolean>;
        return `\`\`\`javascript\n${programOf(rights)}\n\`\`\``;
      },
      { capabilities: ["seed"] },
    );
    const whole = await (await compile(codechain.document, { operators, host: hostWith(model) })).run(sample);
    expect(whole.output.passed).toBe(false);
    const parts = await (await compile(codechainModules.document, { operators, host: hostWith(model) })).run(sample);
    expect(parts.output.passed).toBe(true);
    const hidden = [{ call: "solve", arguments: [[4, 4, 4, 1, 6, 6, 4]], expected: 68 }];
    expect(await sandbox.judge(parts.output.code as string, hidden)).toMatchObject({ passed: true });
  });
});
