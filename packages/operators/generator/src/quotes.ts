import type { Passage } from "@tessera/core";
import { whereOf } from "@tessera/core/internal";
import { words } from "@tessera/text";
import { type Question, type Weights, weigh } from "./coverage.js";
import { type Declaration, declarationOf } from "./declaration.js";
import { looksLikeCode } from "./looks.js";
import { pickStatements, quoteOf } from "./prose.js";
import { clipped, sentencesOf } from "./sentences.js";
import { type Statement, statementsOf } from "./statements.js";

// what is seldom the place that is asked for: tests and samples, what others wrote, what a program wrote
const aside =
  /(?:^|[/.\-_])(?:tests?|specs?|__tests__|bench(?:marks?)?|examples?|fixtures?|mocks?|locales?|vendor(?:ed)?|third[-_]?party|node_modules|generated|min)(?:[/.\-_]|$)|(?:^|\/)(?:go\.sum|licen[cs]e|copying)(?:\.\w+)?$|[-.]lock(?:\.\w+)?$/i;

/** A passage with what of the question it holds. */
export interface Found {
  readonly passage: Passage;
  /** Undefined where the passage is prose. */
  readonly code: Declaration | undefined;
  /** What can be quoted of it: statements, or lines of code after the signature. */
  readonly quotes: readonly { readonly text: string; readonly line?: number }[];
  /** Of prose. */
  readonly statements: readonly Statement[];
  /** The terms of the question in its name, in its name and description, and anywhere in it or its path. */
  readonly name: Set<string>;
  readonly about: Set<string>;
  readonly all: Set<string>;
}

// languages whose files hold prose
const prose = new Set(["markdown", "text", "asciidoc", "restructuredtext", "org", "html"]);

const isCode = ({ text, metadata: { language } }: Passage): boolean =>
  language === undefined || language === "text"
    ? looksLikeCode(text)
    : typeof language === "string" && !prose.has(language);

/** All that is read of a passage. */
export const textsOf = ({ text, title = "", source, metadata: { symbols } }: Passage): string =>
  [title, source?.path, source?.symbol, ...(Array.isArray(symbols) ? symbols : []), text].filter(Boolean).join("\n");

/** What a passage holds of the question. */
export function look(passage: Passage, question: Question): Found {
  const { source, title = "", metadata } = passage;
  const code = isCode(passage) ? declarationOf(passage.text, source?.symbol) : undefined;
  const symbols = Array.isArray(metadata.symbols) ? metadata.symbols.join(" ") : "";
  const symbol = source?.symbol ?? "";
  const name = question.in(code ? `${symbol.slice(symbol.lastIndexOf(".") + 1)} ${symbols}` : title);
  const about = new Set([...name, ...question.in(code ? `${symbol}\n${code.comment}\n${code.signature}` : "")]);
  const statements = code ? [] : statementsOf(passage.text);
  const quotes = code?.body ?? statements;
  const all = new Set([...about, ...question.in(`${source?.path ?? ""}\n${passage.text}`)]);
  return { passage, code, quotes, statements, name, about, all };
}

/** What a passage holds of a question, each from 0 to 1. */
interface Evidence {
  /** The share of the question that it covers, in all and in a single quote or description, and more where its name does. */
  readonly coverage: number;
  /** What its name covers with its description, or with the best sentence where it is prose. */
  readonly about: number;
}

export function evidenceOf(
  { code, quotes, name, about, all }: Found,
  question: Question,
  weights: Weights,
): Evidence | undefined {
  if (!code && quotes.length === 0) return undefined; // headings alone answer nothing
  const whole = weigh(all, weights);
  const focus = quotes.reduce(
    (most, { text }) => Math.max(most, weigh(new Set([...name, ...question.in(text)]), weights)),
    weigh(about, weights),
  );
  // what its name says weighs more than what it mentions
  return { coverage: (whole + focus) / 2 + 0.2 * weigh(name, weights), about: code ? weigh(about, weights) : focus };
}

/** How far a passage answers, where 1 is enough: by its coverage, and by its similarity where that is known. */
export function answersBy(
  evidence: Evidence | undefined,
  { similarity, least, leastNear }: { similarity: number | undefined; least: number; leastNear: number },
): number {
  if (evidence === undefined) return 0;
  const [has, needs] =
    similarity === undefined ? [evidence.coverage, least] : [similarity + evidence.coverage / 2, leastNear];
  return needs === 0 ? 1 : has / needs;
}

/** Whether a passage is seldom what is asked for: of a test or a sample, or by others or a program. */
export const isAside = ({ source, metadata }: Passage): boolean =>
  aside.test(source?.path ?? "") || metadata.test === true || metadata.vendored === true || metadata.generated === true;

const short = (line: string, length = 160): string => (line.length > length ? `${line.slice(0, length - 1)}…` : line);

/** "`backoff` in src/retry.ts:10-24": what to look at, and where. */
function placeOf({ source, title, id, metadata: { symbols } }: Passage, question: Question): string {
  if (!source) return title ?? id;
  const named = (Array.isArray(symbols) ? symbols : []).filter((symbol) => question.in(String(symbol)).size > 0);
  const names = (source.symbol === undefined ? named.slice(0, 3) : [source.symbol]).map((name) => `\`${name}\``);
  return `${names.join(", ")}${names.length > 0 ? " in " : ""}${whereOf(source)}`;
}

/** The members that best cover the question: each adds a term, or there is one alone. They keep their order. */
function best(texts: readonly string[], question: Question, weights: Weights, count: number): number[] {
  const terms = texts.map((member) => question.in(member));
  const chosen: number[] = [];
  const covered = new Set<string>();
  while (chosen.length < count) {
    let next = -1;
    let most = 0;
    for (const [index, held] of terms.entries()) {
      const gain = weigh(
        [...held].filter((term) => !covered.has(term)),
        weights,
      );
      if (gain > most + 1e-9 && !chosen.includes(index)) {
        next = index;
        most = gain;
      }
    }
    if (next < 0) break;
    chosen.push(next);
    for (const term of terms[next]!) covered.add(term);
  }
  return chosen.sort((a, b) => a - b);
}

/** The sentences of a comment that matter: its first, and the one that covers the question best. */
function describe(comment: string, question: Question, weights: Weights): string {
  const sentences = sentencesOf(comment);
  const [pick = 0] = best(sentences, question, weights, 1);
  return [...new Set([sentences[0], sentences[pick]])]
    .filter(Boolean)
    .map((line) => clipped(line!, 300))
    .join(" ");
}

/** A passage as it will be quoted. */
export interface Quoted {
  /** The block of an answer, with a marker. */
  block(marker: string): string;
  /** The words that say something in it: two passages that say the same are copies. */
  readonly said: string;
}

/** What an answer quotes of a passage. */
export function quoted(member: Found, question: Question, weights: Weights, count: number): Quoted {
  const { passage, code, statements, name } = member;
  if (code) {
    const description = describe(code.comment, question, weights);
    const lines = codeBlock(member, question, weights, count);
    const lead = (marker: string) => `${placeOf(passage, question)} ${marker}${description && `: ${description}`}`;
    return {
      block: (marker) => [lead(marker), lines].filter(Boolean).join("\n\n"),
      said: words(passage.text).join(" "),
    };
  }
  const picked = pickStatements(statements, { question, weights, context: name, count });
  const texts = picked.map((index) => statements[index]!.text);
  const held = new Set(texts.flatMap((text) => [...question.in(text)]));
  const place = passage.source ? ` (${placeOf(passage, question)})` : "";
  return {
    block: (marker) =>
      quoteOf(statements, picked, {
        title: headingOf(passage),
        behind: ` ${marker}${place}`,
        named: [...name].every((term) => held.has(term)),
      }),
    said: words(texts.join("\n")).join(" "),
  };
}

/** The innermost heading above a passage of a document; what a text is titled by otherwise says nothing more than its place. */
function headingOf({ title, source, metadata: { headings } }: Passage): string | undefined {
  const last = Array.isArray(headings) ? headings.at(-1) : undefined;
  if (typeof last === "string" && last !== "") return last;
  return title === undefined || title === source?.path ? undefined : title.split(" > ").at(-1);
}

/** The signature, and the lines that cover what name and description leave open. */
function codeBlock(
  { passage, about, code, quotes }: Found,
  question: Question,
  weights: Weights,
  count: number,
): string {
  const open = new Map([...weights].filter(([term]) => !about.has(term)));
  const first = passage.source?.lines?.[0] ?? 1;
  const picked = best(
    quotes.map(({ text }) => text),
    question,
    open,
    count,
  ).map((index) => quotes[index]!);
  if (picked.length === 0 && code!.signature === "") picked.push(...quotes.slice(0, 1));
  const width = String(first + (picked.at(-1)?.line ?? 0)).length;
  return [
    short(code!.signature),
    ...picked.map(({ text, line }) => `${String(first + line!).padStart(width)} | ${short(text.trim(), 120)}`),
  ]
    .filter(Boolean)
    .map((line) => `    ${line}`)
    .join("\n");
}
