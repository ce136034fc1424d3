import { type Answer, answer, cite, flag, hits, operator, type Passage, text } from "@tessera/core";
import { z } from "zod";
import { Question, type Weights, weigh } from "./coverage.js";
import { type Declaration, declarationOf } from "./declaration.js";
import { sentencesOf } from "./sentences.js";

const aside =
  /(?:^|[/.\-_])(?:tests?|specs?|__tests__|bench(?:marks?)?|examples?|fixtures?|mocks?|locales?)(?:[/.\-_]|$)/i;

/** A passage with what of the question it holds. */
interface Found {
  readonly passage: Passage;
  /** Undefined where the passage is prose. */
  readonly code: Declaration | undefined;
  /** What can be quoted of it: sentences, or lines of code after the signature. */
  readonly quotes: readonly { readonly text: string; readonly line?: number }[];
  /** The terms of the question in its name, in its name and description, and anywhere in it or its path. */
  readonly name: Set<string>;
  readonly about: Set<string>;
  readonly all: Set<string>;
}

const isCode = ({ metadata: { language } }: Passage): boolean =>
  typeof language === "string" && language !== "markdown" && language !== "text";

function look(passage: Passage, question: Question): Found {
  const { source, title = "", metadata } = passage;
  const code = isCode(passage) ? declarationOf(passage.text, source?.symbol) : undefined;
  const symbols = Array.isArray(metadata.symbols) ? metadata.symbols.join(" ") : "";
  const symbol = source?.symbol ?? "";
  const name = question.in(code ? `${symbol.slice(symbol.lastIndexOf(".") + 1)} ${symbols}` : title);
  const about = new Set([...name, ...question.in(code ? `${symbol}\n${code.comment}\n${code.signature}` : "")]);
  const quotes = code ? code.body : sentencesOf(passage.text).map((text) => ({ text }));
  const all = new Set([...about, ...question.in(`${source?.path ?? ""}\n${passage.text}`)]);
  return { passage, code, quotes, name, about, all };
}

/**
 * How well a passage answers, from 0 to 1: the share of the question it covers, what its description or a single quote
 * covers, what its name covers, and its place in the ranking.
 */
function scoreOf({ passage, quotes, name, about, all }: Found, index: number, question: Question, weights: Weights) {
  const whole = weigh(all, weights);
  const focus = quotes.reduce(
    (most, { text }) => Math.max(most, weigh(new Set([...name, ...question.in(text)]), weights)),
    weigh(about, weights),
  );
  const place = 1 / (1 + index / 4);
  const score = 0.3 * whole + 0.3 * focus + 0.2 * weigh(name, weights) + 0.2 * place;
  return { coverage: (whole + focus) / 2, score: score * (aside.test(passage.source?.path ?? "") ? 0.5 : 1) };
}

const short = (line: string, length = 160): string => (line.length > length ? `${line.slice(0, length - 1)}…` : line);

/** "`backoff` in src/retry.ts:10-24": what to look at, and where. */
function placeOf({ source, title, id, metadata: { symbols } }: Passage, question: Question): string {
  if (!source) return title ?? id;
  const [from, to] = source.lines ?? [];
  const lines = from === undefined ? "" : from === to ? `:${from}` : `:${from}-${to}`;
  const named = (Array.isArray(symbols) ? symbols : []).filter((symbol) => question.in(String(symbol)).size > 0);
  const names = (source.symbol === undefined ? named.slice(0, 3) : [source.symbol]).map((name) => `\`${name}\``);
  return `${names.join(", ")}${names.length > 0 ? " in " : ""}${source.path}${lines}`;
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
    .map((line) => short(line!, 300))
    .join(" ");
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

/**
 * Answers without a model: it picks the passages that cover the question best, and quotes the place, the description,
 * the signature and the lines of code, or the sentences, that say so. Coverage is the share of the question's stems
 * that a passage holds, identifiers split into their parts, so that "backed off" finds `backoff`.
 * It refuses where no passage covers `least` of the question. Streams each block of the answer at `text`.
 */
export const extract = operator({
  name: "generator.extract",
  version: 1,
  about: {
    module: "generation",
    submodule: "generation",
    summary: "Answers with the sentences, signatures and lines that cover the question best, without a model.",
  },
  config: z.strictObject({
    /** The most passages that are cited. */
    passages: z.int().positive().default(3),
    /** The most sentences, or lines of a body, that are quoted from a passage. */
    quotes: z.int().positive().default(3),
    /** The share of the question that the best passage must cover, from 0 to 1. */
    least: z.number().min(0).max(1).default(0.4),
    refusal: z.string().default("Nothing that was found answers this question."),
  }),
  ports: { input: { query: text, hits }, output: { answer, text, refused: flag } },
  effects: "none",
  setup: (config) => (input, context) => {
    const question = new Question(input.query);
    const found = input.hits.map(({ passage }) => look(passage, question));
    const weights = question.weights(found.map(({ all }) => all));
    const ranked = found
      .map((member, index) => ({ ...member, ...scoreOf(member, index, question, weights) }))
      .filter(({ coverage }) => coverage >= config.least)
      .sort((a, b) => b.score - a.score);
    const chosen: typeof ranked = [];
    const places = new Set<string>();
    for (const member of ranked) {
      const { source, id } = member.passage;
      const place = source?.symbol === undefined ? id : `${source.path}#${source.symbol}`; // parts of one definition
      if (places.has(place) || member.score < 0.6 * ranked[0]!.score || chosen.length === config.passages) continue;
      places.add(place);
      chosen.push(member);
    }

    const blocks: string[] = [];
    const add = (block: string): void => {
      const separator = blocks.length > 0 ? "\n\n" : "";
      blocks.push(separator + block);
      context.emit("text", separator + block);
    };
    for (const [index, member] of chosen.entries()) {
      const { passage, code, quotes } = member;
      const marker = `[${index + 1}]`;
      if (code) {
        const description = describe(code.comment, question, weights);
        const lead = `${placeOf(passage, question)} ${marker}${description && `: ${description}`}`;
        add([lead, codeBlock(member, question, weights, config.quotes)].filter(Boolean).join("\n\n"));
        continue;
      }
      const picked = best(
        quotes.map(({ text }) => text),
        question,
        weights,
        config.quotes,
      );
      const quoted = picked.map((pick) => short(quotes[pick]!.text, 400)).join(" ");
      add(`${quoted} ${marker}${passage.source ? ` (${placeOf(passage, question)})` : ""}`);
    }
    if (chosen.length === 0) add(config.refusal);
    const written: Answer = {
      text: blocks.join(""),
      citations: chosen.map(({ passage }, index) => cite(index + 1, passage)),
      refused: chosen.length === 0,
    };
    return { answer: written, text: written.text, refused: written.refused };
  },
});
