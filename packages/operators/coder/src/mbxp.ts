// internal: MbxpProblem, readMbxp, mbxpCases, mbxpTasks, reportMbxp
import type { Task } from "./experiment/score.js";
import type { CaseResult, CodeCase } from "./sandbox/cases.js";

/** A line of MBXP (amazon-science/mxeval, data/mbxp): a function's beginning, its solution and its tests. */
export interface MbxpProblem {
  readonly task_id: string;
  readonly prompt: string;
  /** The function that the tests call. */
  readonly entry_point: string;
  readonly test: string;
  readonly language: "javascript" | "typescript";
  readonly canonical_solution?: string | null;
}

/** Reads MBXP: one JSON record a line. */
export const readMbxp = (text: string): MbxpProblem[] =>
  text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as MbxpProblem);

/** The published solutions as cases: the prompt, which begins the function, then the solution, where there is one. */
export const mbxpCases = (problems: readonly MbxpProblem[]): CodeCase[] =>
  problems.flatMap(({ task_id, prompt, canonical_solution, test, language }) =>
    canonical_solution ? [{ id: task_id, code: prompt + canonical_solution, tests: test, language }] : [],
  );

const exampleLine = /^ \* > .*$/gm;

/**
 * The problems as tasks of an experiment. Published prompts show all that the tests check: only the first example is kept,
 * with the first assertion as public test; hidden are all of them.
 */
export const mbxpTasks = (problems: readonly MbxpProblem[]): Task[] =>
  problems.map(({ task_id, prompt, entry_point, test, language }) => {
    const examples = [...prompt.matchAll(exampleLine)];
    const second = examples[1]?.index;
    const text =
      second === undefined ? prompt : `${prompt.slice(0, second)}${prompt.slice(prompt.indexOf(" */", second))}`;
    const next = test.search(/^var arg1\d+ ?=|^var x1 ?=/m);
    return {
      ...{ id: task_id, text: text.trim(), language, entry: entry_point, split: "test", vague: false, modules: [] },
      ...{ tests: next < 0 ? test : test.slice(0, next), hidden: test },
    };
  });

// what is wrong with published solutions, found by reading them and running them in Node as well
const quotedKeys = "the tests expect keys with quotation marks in them";
const otherParameter = "the solution reads `char`, the prompt names the parameter `ch`";
const faults: Readonly<Record<string, string>> = {
  "MBJSP/94": "misspells its parameter, and sorts by a comparison that is not consistent, so that the engine decides",
  "MBJSP/174": quotedKeys,
  "MBJSP/230": otherParameter,
  "MBJSP/237": "misspells its parameter, and gives keys in parentheses where the tests expect brackets",
  "MBJSP/243": "the solution sorts by `compare`, which it does not define; only its tests define one",
  "MBJSP/473": "misspells its parameters, and gives [4, 1] where the tests expect [1, 4]",
  "MBJSP/490": "gives [9, 8] where the tests expect [8, 9]",
  "MBJSP/546": otherParameter,
  "MBJSP/585": quotedKeys,
  "MBJSP/653": quotedKeys,
  "MBJSP/668": otherParameter,
  "MBJSP/679": quotedKeys,
  "MBJSP/795": quotedKeys,
  "MBJSP/844": "the solution draws random numbers",
  "MBJSP/921": "the solution calls lodash without requiring it, and spells its parameter otherwise",
  "MBJSP/939": quotedKeys,
};

// misspells its parameter where it is never reached
const sound = new Set(["MBJSP/816"]);

const signature = /^(?:async )?function\s*\*?\s*\w+\s*\(([^)]*)\)/gm;

/** What is wrong with a published JavaScript solution, or `undefined` where nothing is known to be. */
export function faultOf({ task_id, prompt, canonical_solution }: MbxpProblem): string | undefined {
  if (Object.hasOwn(faults, task_id)) return faults[task_id];
  if (sound.has(task_id)) return undefined;
  const parameters =
    [...prompt.matchAll(signature)]
      .at(-1)?.[1]
      ?.split(",")
      .map((name) => name.trim()) ?? [];
  const identifiers = new Set(canonical_solution?.match(/[A-Za-z_$][\w$]*/g));
  for (const parameter of parameters) {
    const other = [...identifiers].find(
      (name) => name !== parameter && name.toLowerCase() === parameter.toLowerCase() && !identifiers.has(parameter),
    );
    if (other) return `the solution reads \`${other}\`, the prompt spells the parameter \`${parameter}\``;
  }
  return undefined;
}

interface MbxpReport {
  readonly passed: number;
  /** Published solutions that fail, with what is wrong with them. */
  readonly faulty: { readonly id: string; readonly fault: string }[];
  /** Failures that nothing explains: these are ours. */
  readonly unexplained: CaseResult[];
  /** Solutions that pass although they are named as faulty: the table is wrong. */
  readonly passedThough: { readonly id: string; readonly fault: string }[];
}

/** Sorts results of the published solutions into passed, faulty and unexplained. */
export function reportMbxp(problems: readonly MbxpProblem[], results: readonly CaseResult[]): MbxpReport {
  const faultById = new Map(problems.map((problem) => [problem.task_id, faultOf(problem)]));
  const named = (list: readonly CaseResult[]) =>
    list.flatMap(({ id }) => {
      const fault = faultById.get(id);
      return fault === undefined ? [] : [{ id, fault }];
    });
  const failed = results.filter(({ passed }) => !passed);
  const passed = results.filter((result) => result.passed);
  return {
    passed: passed.length,
    faulty: named(failed),
    unexplained: failed.filter(({ id }) => faultById.get(id) === undefined),
    passedThough: named(passed),
  };
}
