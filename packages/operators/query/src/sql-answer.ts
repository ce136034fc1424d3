import type { Database } from "@tessera/core";
import { readJson } from "./lines.js";
import { sqlFunctions } from "./sql-functions.js";
import { openQuote, type SqlToken, sqlTokens } from "./sql-tokens.js";

type Dialect = Database["dialect"];

/** A statement found in an answer. */
interface Found {
  /** As it is to be run: without comments, and without the semicolon. */
  readonly sql: string;
  readonly kind: "reads" | "writes" | "schema";
  /** Where it begins and ends in its text. */
  readonly start: number;
  readonly end: number;
  /** Whether it stands apart: on a line of its own, or after a label and a colon. */
  readonly apart: boolean;
}

/** What a model's answer holds: a statement to be guarded and run, or why none can be read with certainty. */
interface StatementReading {
  /** The statement; where it is refused, all that is refused with it; "" where there is none. */
  readonly sql: string;
  readonly error?: string;
}

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const beginning = /\b(?:select|with|values)\b/giu;
/** A statement that is no question, by the words that it begins with in every dialect. */
const verb =
  /(?:^|[;:\n(>`]|\*\/)[ \t>*\-\d.]*\b(insert\s+(?:or\s+\w+\s+)?into\b|replace\s+into\b|update\s+(?:only\s+)?[\w."`[\]]+\s+(?:as\s+\w+\s+)?set\b|delete\s+from\b|merge\s+into\b|truncate\s+(?:table\s+)?[\w."]+|drop\s+(?:table|view|index|database|schema|trigger|function|role|user)\b|create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:unique\s+)?(?:table|view|index|database|schema|trigger|function|role|user)\b|alter\s+(?:table|database|schema|role|user|view)\b|grant\s+\w+|revoke\s+\w+|attach\s+database|pragma\s+\w+\s*=|vacuum\b|call\s+\w+\s*\(|copy\s+\w+\s+(?:from|to)\b)/giu;
const schemaVerb = /^(?:create|alter)\b/i;

/** Words that two operands may stand beside each other around, or that end one. */
const keywords = words(`
  select distinct all from where group by having order limit offset union intersect except join inner left right full
  outer cross natural lateral on using and or not in is null like ilike glob regexp rlike similar to between case when
  then else end as asc desc nulls first last with recursive materialized values over partition rows range groups
  preceding following current row unbounded exists any some filter within window collate escape interval cast at time
  zone fetch next only ties for div mod xor match against true false unknown default array rollup cube grouping sets
  distinctrow straight_join sql_no_cache qualify isnull notnull tablesample ordinality separator exclude binary
  for update share key no lock mode nowait skip locked into outfile dumpfile returning
  year month day hour minute second week quarter microsecond both leading trailing symmetric indexed overlaps`);
const endings = words(
  "from where group having order limit offset union intersect except join on using and or not in is like by select as with case when then else between inner left right over values distinct all",
);
/** With one of these, or with a sign, a statement goes on in the next line. */
const continuing =
  /^\s*(?:[,()=<>+\-*/|.]|(?:from|where|group\s+by|order\s+by|having|limit|offset|union|intersect|except|(?:(?:inner|left|right|full|cross|natural|outer)\s+)*join|on|using|and|or|as|window|fetch|for|lock|into|returning|case|when|then|else|end|over|desc|asc)\b)/i;

/** Whether the tokens can be a whole question: brackets match, and no three names stand in a row, as they do in prose. */
function isWhole(tokens: readonly SqlToken[], dialect: Dialect): boolean {
  const plain = tokens.filter(({ kind }) => kind !== "comment");
  const first = plain.findIndex(({ text }) => text !== "(");
  const start = plain[first];
  const last = plain.at(-1);
  if (
    !start ||
    !last ||
    (last.kind === "word" && endings.has(last.text)) ||
    /^[.,(=<>+\-/|:;?@#]$/.test(last.kind === "sign" ? last.text : "")
  )
    return false;
  const writing = plain.some(({ kind, text }) => kind === "word" && text === "into"); // INSERT INTO t SELECT
  let depth = 0;
  let row = 0;
  for (const [index, { kind, text }] of plain.entries()) {
    if (kind === "sign" && text === "(") depth++;
    if (kind === "sign" && text === ")" && --depth < 0) return false;
    const operand = kind !== "sign" && !(kind === "word" && keywords.has(text));
    const typed = kind === "text" && index > 0; // date '2020-01-01', E'x'
    row = operand ? row + (typed ? 0 : 1) : 0;
    if (row > 2 || (kind === "sign" && (text === "?" || text === ";"))) return false;
    const [previous, next] = [plain[index - 1], plain[index + 1]];
    if (kind === "sign" && text === "." && next && next.start > plain[index]!.end) return false; // the end of a sentence
    const free = previous?.kind === "text" || (previous?.kind === "word" && !keywords.has(previous.text));
    if (kind === "word" && text === "select" && free && !writing) return false;
  }
  if (depth !== 0) return false;
  const after = plain[first + 1];
  const opens = after?.kind === "sign" && after.text === "(";
  if (start.text === "values") return opens || (after?.text === "row" && dialect === "mysql");
  if (start.text === "with")
    return (
      /^with (?:recursive )?\S+ (?:\( .*?\) )?as (?:not )?(?:materialized )?\(/.test(
        plain
          .slice(first)
          .map(({ text }) => text)
          .join(" "),
      ) && hasBody(plain.slice(first + 1))
    );
  return start.text === "select" && after !== undefined && hasSource(plain.slice(first + 1), dialect);
}

/** Whether a query, or a statement that writes, stands outside the parentheses of WITH. */
function hasBody(tokens: readonly SqlToken[]): boolean {
  let depth = 0;
  return tokens.some(({ kind, text }) => {
    if (kind === "sign") depth += Number(text === "(") - Number(text === ")");
    return depth === 0 && kind === "word" && /^(?:select|values|insert|update|delete|merge|replace)$/.test(text);
  });
}

/** Whether a SELECT has a FROM, or names no column: without one it can only give constants and values of functions. */
function hasSource(tokens: readonly SqlToken[], dialect: Dialect): boolean {
  if (tokens.some(({ kind, text }) => kind === "word" && text === "from")) return true;
  return tokens.every(({ kind, text }, index) => {
    if (kind !== "word" || /^\p{N}/u.test(text) || keywords.has(text))
      return kind !== "quoted" || tokens[index - 1]?.text === "as";
    const [previous, next] = [tokens[index - 1], tokens[index + 1]];
    if (next?.kind === "sign" && next.text === "(") return true;
    if (next?.kind === "text" || sqlFunctions[dialect].has(text)) return true;
    return (
      previous?.text === "as" ||
      previous?.kind === "text" ||
      (previous?.kind === "sign" && previous.text === ")") ||
      /^\p{N}/u.test(previous?.text ?? "") ||
      previous?.text === "end"
    );
  });
}

/** A statement without its comments; where a database might read one, it stays for the guard to refuse. */
function withoutComments(sql: string, dialect: Dialect): string {
  const tokens = sqlTokens(sql, { dialect, escapes: dialect === "mysql" });
  if ("reason" in tokens) return sql;
  let plain = "";
  let at = 0;
  for (const { kind, start, end } of tokens) {
    if (kind !== "comment") continue;
    plain = `${plain}${sql.slice(at, start)} `;
    at = end;
  }
  return at === 0 ? sql : `${plain}${sql.slice(at)}`.replace(/[ \t]+(?=\n|$)/g, "").trim();
}

/** Reads a text by the primary rule of its dialect; what cannot be read ends the tokens. */
function tokensOf(text: string, dialect: Dialect): { tokens: readonly SqlToken[]; broken: boolean } {
  const read = sqlTokens(text, { dialect, escapes: dialect === "mysql" });
  return "reason" in read
    ? { tokens: read.tokens, broken: read.reason !== openQuote }
    : { tokens: read, broken: false };
}

const semicolonOf = (tokens: readonly SqlToken[]): SqlToken | undefined =>
  tokens.find(({ kind, text }) => kind === "sign" && text === ";");

/** The longest whole statement at the start of a text, and how much of the text it takes with its semicolon. */
function statementAt(text: string, dialect: Dialect): { sql: string; length: number } | undefined {
  const { tokens, broken } = tokensOf(text, dialect);
  const semicolon = semicolonOf(tokens);
  const limit = semicolon?.start ?? text.length;
  // where it may end: at a line's end, a sentence's, a closing tag, a backtick, a label such as "SQLResult:"
  const ends = /\r?\n|[.!?:](?=\s|$)|<\/|`|\s(?=\p{Lu}\w{2,20}:(?!:))/gu;
  const places = [...text.slice(0, limit).matchAll(ends)].slice(0, 100).map(({ index }) => index);
  if (broken) places.push(tokens.at(-1)?.end ?? 0);
  let best: { sql: string; length: number } | undefined;
  for (const at of [...new Set([...places, limit])].sort((left, right) => left - right)) {
    // what is whole goes on only where the next line says so
    if (best && !continuing.test(text.slice(best.length))) break;
    const until = tokens.findIndex(({ end }) => end > at);
    const part = until < 0 ? tokens : tokens.slice(0, until);
    const cut = (until >= 0 && tokens[until]!.start < at) || /\S/.test(text.slice(part.at(-1)?.end ?? 0, at));
    if (at > 0 && !cut && isWhole(part, dialect))
      best = { sql: text.slice(0, at).trim(), length: at + Number(at === semicolon?.start) };
  }
  return best;
}

const label = /^[\s>*_#\-\d.)("`]*(?:[^\s:]+[ \t]+){0,8}[^\s:]*:[\s*_"`(]*$|^[\s>*_#\-\d.)(`"]*$|>\s*$/u;

/** The statements of a text, in order, each the longest that begins where it does. */
function statementsOf(text: string, dialect: Dialect): Found[] {
  const found: Found[] = [];
  const acts = [...text.matchAll(verb)].map((match) => ({
    at: match.index + match[0].length - match[1]!.length,
    verb: match[1]!,
  }));
  const starts = [...text.matchAll(beginning)].map(({ index }) => ({
    at: index,
    verb: undefined as string | undefined,
  }));
  const comments = [...text.matchAll(/\/\*[\s\S]*?\*\//g)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
  }));
  let from = 0;
  let budget = 400_000; // characters that are read, so that what a model says costs no more than a moment
  for (const { at, verb: act } of [...acts, ...starts].sort((left, right) => left.at - right.at).slice(0, 500)) {
    if (at < from || comments.some(({ start, end }) => start < at && at < end)) continue;
    const before = text.slice(Math.max(0, at - 200), at);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    if (line.includes("--")) continue;
    budget -= text.length - at;
    if (budget < 0) break;
    if (act) {
      const end = endOfWrite(text.slice(at), dialect);
      const kind = schemaVerb.test(act) ? "schema" : "writes";
      found.push({ sql: text.slice(at, at + end).trim(), start: at, end: at + end, kind, apart: true });
      from = at + end;
      continue;
    }
    const open = /\(\s*$/.exec(line)?.[0].length ?? 0; // (SELECT …) UNION (SELECT …)
    const bracketed = open > 0 ? statementAt(text.slice(at - open), dialect) : undefined;
    const read = bracketed ?? statementAt(text.slice(at), dialect);
    if (!read) continue;
    const start = bracketed ? at - open : at;
    const end = start + read.length;
    const apart = label.test(line) || line.trimEnd().endsWith(";");
    found.push({ sql: withoutComments(read.sql, dialect), start, end, kind: "reads", apart });
    from = end;
  }
  return found;
}

/** Where a statement that writes ends: behind its semicolon, or at a blank line. */
function endOfWrite(text: string, dialect: Dialect): number {
  const semicolon = semicolonOf(tokensOf(text, dialect).tokens);
  if (semicolon) return semicolon.end;
  const blank = text.search(/\n[ \t]*\n/);
  return blank < 0 ? text.length : blank;
}

/** The code blocks of an answer, the open one at its end among them, and what stands around them. */
function blocksOf(answer: string): { blocks: string[]; prose: string } {
  const blocks: string[] = [];
  const prose = answer.replace(
    /(^|\n|[^`~\n])[ \t>]*(`{3,}|~{3,})[ \t]*(\w*)([\s\S]*?)(?:\n?[ \t>]*\2[`~]*(?=[\s.,;:!?)]|$)|$)/g,
    (_, before: string, __, info: string, body: string) => {
      // what stands behind the backticks is a language's name where its line ends there, or where it looks like one
      const named = /^[^\S\n]*(?:\n|$)/.test(body) || /sql|^(?:text|txt|plain|json|query|code|db)$/i.test(info);
      blocks.push(named ? body : `${info}${body}`);
      return `${before}\n\n`;
    },
  );
  return { blocks, prose };
}

/** The code spans of a text, each a text of its own, and the text without their signs. */
function spansOf(prose: string): string[] {
  return [...prose.matchAll(/(?<!`)(`{1,2})(?!`)((?:(?!\n[ \t]*\n)[\s\S])*?)(?<!`)\1(?!`)/g)].map(
    ([, , inner]) => inner!,
  );
}

/** The texts that an answer holds as JSON, those first whose name says that they are the statement. */
function fromJson(text: string): string[] {
  const value = readJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  const texts = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  const named = texts.filter(([key]) => /sql|query|statement/i.test(key));
  return (named.length > 0 ? named : texts).map(([, said]) => said);
}

/** What one text, a block or the prose, says: its last reading statement, or all of its statements where one writes. */
function judge(text: string, found: readonly Found[]): StatementReading | undefined {
  const last = found.at(-1);
  if (!last) return undefined;
  if (found.every(({ kind }) => kind === "schema")) return undefined;
  if (found.some(({ kind }) => kind !== "reads"))
    return { sql: text.slice(found[0]!.start, last.end).trim(), error: "it holds a statement that writes" };
  return { sql: last.sql };
}

/** What a block says, or the first of its texts where it is JSON. */
function readText(text: string, dialect: Dialect): StatementReading | undefined {
  const json = fromJson(text);
  const texts = json.length > 0 ? json : [text];
  return texts.map((one) => judge(one, statementsOf(one, dialect))).find((one) => one !== undefined);
}

/** What the prose says: a statement that stands apart, else one in a code span, else one in a sentence; the last of them. */
function readProse(prose: string, dialect: Dialect): StatementReading | undefined {
  const found = statementsOf(prose, dialect);
  const judged = judge(prose, found);
  if (judged?.error !== undefined) return judged;
  const inSpans = spansOf(prose).flatMap((span) => {
    const own = statementsOf(span, dialect);
    // a span that is a statement, and nothing else
    return own.length === 1 && /^\s*(?:select|with|values|\()/i.test(span) ? own : [];
  });
  const reads = found.filter(({ kind }) => kind === "reads");
  const last = reads.filter(({ apart }) => apart).at(-1) ?? inSpans.at(-1) ?? reads.at(-1);
  return last && { sql: last.sql };
}

/**
 * The statement that an answer holds: the last whole one that reads, from its code blocks, else from a JSON object, else
 * from its prose and its code spans. A text in which a statement writes is refused as a whole; blocks that only make
 * tables are the schema, and are passed over. Comments are left out.
 */
export function readStatement(answer: string, dialect: Dialect): StatementReading {
  if (answer.length > 20_000) return { sql: "", error: "the answer is longer than 20,000 characters" };
  const { blocks, prose } = blocksOf(answer);
  const inBlocks = blocks.map((block) => readText(block, dialect)).filter((one) => one !== undefined);
  const read =
    inBlocks.at(-1) ?? (fromJson(prose).length > 0 ? readText(prose, dialect) : undefined) ?? readProse(prose, dialect);
  if (read) return read;
  const schema = [...blocks, prose].flatMap((text) => statementsOf(text, dialect)).at(0);
  if (schema) return { sql: schema.sql, error: "it holds a statement that writes" };
  return { sql: "", error: "the answer holds no whole statement that begins with SELECT, WITH or VALUES" };
}
