import { declarePrompt, fence, fenceRule, type Host, type Message, openPrompt } from "@tessera/core";
import { clip, type PromptText } from "@tessera/core/internal";
import type { CodeModule, Problem, Sample } from "./problem.js";
import type { Language } from "./sandbox/language.js";

/** How a program is asked for. "brief" is the form that a model trained on our own domain reads. */
export type Style = "full" | "brief";

const names: Record<Language, string> = { javascript: "JavaScript", typescript: "TypeScript", python: "Python" };

const exampleTask = "Given a list of words, count the palindromes among them. Upper and lower case do not differ.";

const headers: Record<Language, [string, string]> = {
  javascript: [
    `/**
 * Whether a word reads the same from both ends, upper and lower case being equal.
 * Example: isPalindrome("Anna") -> true
 */
function isPalindrome(word)`,
    `/**
 * How many members of a list meet a condition.
 * Example: countWhere([1, 2, 3], (n) => n > 1) -> 2
 */
function countWhere(list, condition)`,
  ],
  typescript: [
    `/**
 * Whether a word reads the same from both ends, upper and lower case being equal.
 * Example: isPalindrome("Anna") -> true
 */
function isPalindrome(word: string): boolean`,
    `/**
 * How many members of a list meet a condition.
 * Example: countWhere([1, 2, 3], (n) => n > 1) -> 2
 */
function countWhere<T>(list: T[], condition: (member: T) => boolean): number`,
  ],
  python: [
    `def is_palindrome(word):
    """Whether a word reads the same from both ends, upper and lower case being equal.
    Example: is_palindrome("Anna") -> True
    """`,
    `def count_where(items, condition):
    """How many members of a list meet a condition.
    Example: count_where([1, 2, 3], lambda n: n > 1) -> 2
    """`,
  ],
};

const bodies: Record<Language, [string, string, string]> = {
  javascript: [
    `{
  const lower = word.toLowerCase();
  return lower === [...lower].reverse().join("");
}`,
    `{
  return list.filter(condition).length;
}`,
    `function countPalindromes(words) {
  return countWhere(words, isPalindrome);
}`,
  ],
  typescript: [
    `{
  const lower = word.toLowerCase();
  return lower === [...lower].reverse().join("");
}`,
    `{
  return list.filter(condition).length;
}`,
    `function countPalindromes(words: string[]): number {
  return countWhere(words, isPalindrome);
}`,
  ],
  python: [
    `    lower = word.lower()
    return lower == lower[::-1]`,
    `    return sum(1 for item in items if condition(item))`,
    `def count_palindromes(words):
    return count_where(words, is_palindrome)`,
  ],
};

const fenced = (info: string, text: string): string => `\`\`\`${info}\n${text}\n\`\`\``;

function exampleAnswer(language: Language): string {
  const [first, second, main] = bodies[language];
  const [one, two] = headers[language];
  const join = language === "python" ? "\n" : " ";
  const program = [`${one}${join}${first}`, `${two}${join}${second}`, main].join("\n\n");
  return [
    "STEP 1: SUB-MODULES",
    ...headers[language].map((header) => fenced("module", header)),
    "STEP 2: PROGRAM",
    fenced(language, program),
  ].join("\n");
}

const fence3 = "```";

export const directPromptText = declarePrompt({
  name: "coder.sample.direct",
  version: "1",
  text: `You write correct {name} programs. Answer with the whole program in one ${fence3}{language} fence. Cover edge cases. Do not print, test or read anything unless the task asks for it.`,
  needed: ["language"],
});

export const modularPromptText = declarePrompt({
  name: "coder.sample.modular",
  version: "1",
  text: `You write correct, well-structured {name} programs out of small functions.
Work in two steps.
STEP 1: list the sub-modules that the solution needs. Give each as a ${fence3}module fence with its signature and a docstring: what it does, what it takes and gives, and one line "Example: name(arguments) -> result". Leave bodies out.
STEP 2: write the whole program in one ${fence3}{language} fence: every sub-module with its body, then the function that solves the task. Cover edge cases. Do not print, test or read anything unless the task asks for it.`,
  needed: ["language"],
});

export const revisePromptText = declarePrompt({
  name: "coder.revise",
  version: "1",
  text: "Functions from earlier attempts at the same task are quoted below the task. Reuse them or adapt them where they are right, and write new ones where they do not help.",
});

export const debugPromptText = declarePrompt({
  name: "coder.debug",
  version: "1",
  text: "First explain in a few sentences what the program does and why it fails. Then write the whole corrected program.",
});

/** Gives the text of a prompt with its places filled. */
type Filled = (text: PromptText, language?: Language) => string;

const valuesOf = (language?: Language): Readonly<Record<string, string>> =>
  language ? { name: names[language], language } : {};

/** The prompts of the catalogue as they are. */
const ownTexts: Filled = ({ text }, language) => {
  const values = valuesOf(language);
  return text.replace(/\{(\w+)\}/g, (_, place: string) => values[place]!);
};

/** Opens the prompts that an operator sends; others may stand in their place. */
export async function openPrompts(host: Host, wanted: readonly PromptText[]): Promise<Filled> {
  const opened = new Map(await Promise.all(wanted.map(async (text) => [text, await openPrompt(host, text)] as const)));
  return (text, language) => opened.get(text)!(valuesOf(language));
}

const task = (problem: Problem, characters: number): string =>
  [
    `TASK:\n${clip(problem.text, characters)}`,
    problem.entry && `The function that solves it is named ${problem.entry}.`,
    problem.starter && `It begins with:\n${clip(problem.starter, characters)}`,
  ]
    .filter(Boolean)
    .join("\n");

const brief = (mode: string, problem: Problem, parts: readonly string[] = []): Message[] => [
  { role: "user", content: [`[${mode}]`, problem.text, ...parts].join("\n") },
];

/** Asks for a program without a plan. */
export function directPrompt(problem: Problem, style: Style, characters: number, filled = ownTexts): Message[] {
  if (style === "brief") return brief("direct", problem);
  return [
    { role: "system", content: filled(directPromptText, problem.language) },
    { role: "user", content: task(problem, characters) },
  ];
}

/** Asks for sub-module headers with docstrings first, then for the program (CodeChain, section 3.1), with one example. */
export function modularPrompt(problem: Problem, style: Style, characters: number, filled = ownTexts): Message[] {
  if (style === "brief") return brief("modular", problem);
  return [
    { role: "system", content: filled(modularPromptText, problem.language) },
    { role: "user", content: `TASK:\n${exampleTask}` },
    { role: "assistant", content: exampleAnswer(problem.language) },
    { role: "user", content: task(problem, characters) },
  ];
}

/** Asks for a program that reuses representative modules (CodeChain, section 3.3). */
export function revisePrompt(
  problem: Problem,
  modules: readonly Pick<CodeModule, "name" | "code">[],
  style: Style,
  characters: number,
  filled = ownTexts,
): Message[] {
  if (style === "brief")
    return brief(
      "revise",
      problem,
      modules.map(({ code }) => code),
    );
  const quoted = fence(
    modules.map(({ name, code }) => ({ title: name, text: clip(code, characters) })),
    { tag: "function" },
  );
  return [
    {
      role: "system",
      content: `${filled(modularPromptText, problem.language)}\n${filled(revisePromptText)}\n${fenceRule}`,
    },
    { role: "user", content: `TASK:\n${exampleTask}` },
    { role: "assistant", content: exampleAnswer(problem.language) },
    { role: "user", content: `${task(problem, characters)}\n\nRELEVANT FUNCTIONS:\n${quoted}` },
  ];
}

/** Shows a program and what a public test said of it, and asks for a repaired one (Chen et al. 2023, Self-Debug). */
export function debugPrompt(
  problem: Problem,
  sample: Sample,
  style: Style,
  characters: number,
  filled = ownTexts,
): Message[] {
  const said = sample.verdict?.detail ?? "It does not pass its tests.";
  if (style === "brief") return brief("debug", problem, [sample.code, said]);
  const program = fence([{ text: clip(sample.code || sample.text, characters) }], { tag: "program" });
  const verdict = fence([{ text: clip(said, characters) }], { tag: "result" });
  return [
    { role: "system", content: `${filled(directPromptText, problem.language)}\n${fenceRule}` },
    {
      role: "user",
      content: `${task(problem, characters)}\n\nAn earlier program:\n${program}\n\nWhat its tests said:\n${verdict}\n\n${filled(debugPromptText)}`,
    },
  ];
}
