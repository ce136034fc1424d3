import type { Database } from "@tessera/core";
import { sqlFunctions } from "./sql-functions.js";
import { type SqlToken, sqlTokens } from "./sql-tokens.js";

const list = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/));

/** What a statement that only reads may begin with. */
const beginnings = list("select with values");

/** Words that change data where they begin a statement, also inside a WITH and after one. */
const writes = list("insert update delete merge replace upsert truncate");

/** Words that a parenthesis may follow without a call. */
const clauses = list(`
  all and any array as between by case cross cube distinct else except exists filter from full group grouping having in
  inner intersect is join key lateral left like ilike limit materialized natural not of offset on or order outer over
  partition recursive returning right rollup row rows select sets similar some then to union using values when where
  window with within char character bit decimal dec numeric varchar nchar binary varbinary float double time timestamp
  timestamptz interval escape glob regexp rlike match against div mod xor ordinality tablesample bernoulli repeatable
  columns return`);

/** Words that a parenthesis may follow without a call where they stand behind one of others: FETCH FIRST (3) ROWS. */
const phrases: Readonly<Record<string, ReadonlySet<string>>> = {
  first: list("fetch"),
  next: list("fetch"),
  zone: list("time"),
  system: list("tablesample"),
  index: list("use force ignore"),
};

/** Whether the word at `at` is no name of a function, though a parenthesis follows. */
function isClause(tokens: readonly SqlToken[], at: number): boolean {
  const [previous, { text }] = [tokens[at - 1], tokens[at]!];
  if (clauses.has(text)) return true;
  if (text === "passing") return previous?.kind === "text"; // XMLTABLE('/a' PASSING (x) …)
  return previous?.kind === "word" && Object.hasOwn(phrases, text) && phrases[text]!.has(previous.text);
}

/** Words after which a value or a name stands, so that a word of `writes` there is a column's or a table's name. */
const before = list(`
  select distinct all where and or not on by having when then else case between in like ilike as from join using limit
  offset is end over`);

const sign = (token: SqlToken | undefined, text: string): boolean => token?.kind === "sign" && token.text === text;
const word = (token: SqlToken | undefined, text: string): boolean => token?.kind === "word" && token.text === text;

/** The index of the parenthesis that closes the one at `open`; the number of tokens where none does. */
function closingOf(tokens: readonly SqlToken[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (sign(tokens[at], "(")) depth++;
    else if (sign(tokens[at], ")") && --depth === 0) return at;
  }
  return tokens.length;
}

/** Whether the parentheses at `open` hold names alone, with or without types: a list of columns. */
const holdsNames = (tokens: readonly SqlToken[], open: number): boolean =>
  tokens
    .slice(open + 1, closingOf(tokens, open))
    .every(({ kind, text }) => kind === "word" || kind === "quoted" || (kind === "sign" && text === ","));

/** Whether the name at `at`, before a parenthesis, is that of a table expression or an alias: a(x) AS (SELECT …), (…) v(x). */
function isNamed(tokens: readonly SqlToken[], at: number): boolean {
  const previous = tokens[at - 1];
  if (previous?.kind === "word" && ["as", "with", "recursive"].includes(previous.text)) return true;
  if (!holdsNames(tokens, at + 1)) return false;
  if (sign(previous, ")")) {
    let depth = 0;
    for (let from = at - 1; from >= 0; from--) {
      if (sign(tokens[from], ")")) depth++;
      // after DISTINCT ON (…) there is a value, which may be a call
      else if (sign(tokens[from], "(") && --depth === 0) return !word(tokens[from - 1], "on");
    }
    return false;
  }
  if (!sign(previous, ",")) return false;
  // a further table expression of WITH: its body is a query, where that of FROM f() AS (…) is a list of columns
  let next = closingOf(tokens, at + 1) + 1;
  if (!word(tokens[next++], "as")) return false;
  if (word(tokens[next], "not")) next++;
  if (word(tokens[next], "materialized")) next++;
  if (!sign(tokens[next], "(")) return false;
  const body = tokens[next + 1];
  return (
    word(body, "select") ||
    word(body, "with") ||
    sign(body, "(") ||
    (word(body, "values") && sign(tokens[next + 2], "("))
  );
}

/** Whether the word at `at` begins a statement that writes, and is not the name of a column or of a function. */
function isWrite(tokens: readonly SqlToken[], at: number, functions: ReadonlySet<string>): boolean {
  const [previous, next] = [tokens[at - 1], tokens[at + 1]];
  if (sign(next, "(") && functions.has(tokens[at]!.text)) return false;
  if (previous?.kind === "word") return !before.has(previous.text);
  if (sign(previous, "(")) return next === undefined || next.kind === "word" || next.kind === "quoted";
  return !(previous?.kind === "sign" && !"();".includes(previous.text));
}

/** Why tokens, which are those of one reading, do not surely only read. */
function reasonAgainst(
  tokens: readonly SqlToken[],
  functions: ReadonlySet<string>,
  admitted: ReadonlySet<string>,
): string | undefined {
  const first = tokens.find(({ text }) => text !== "(");
  if (first?.kind !== "word" || !beginnings.has(first.text)) return "it does not begin with SELECT, WITH or VALUES";
  for (const [index, { kind, text }] of tokens.entries()) {
    const [previous, after] = [tokens[index - 1], tokens[index + 1]];
    const call = sign(after, "(");
    if (kind === "comment") return "it holds a comment";
    if (kind === "sign" && text === ";") return "it holds more than one statement";
    if (kind === "word" && (text === "into" || (writes.has(text) && isWrite(tokens, index, functions))))
      return `it holds ${text.toUpperCase()}`;
    const locks = text === "lock" && word(after, "in") && word(tokens[index + 2], "share"); // MySQL's older way
    const waits = text === "for" && ["share", "no", "key", "update"].includes(after?.kind === "word" ? after.text : "");
    if (kind === "word" && (locks || waits)) return "it locks rows";
    if (call && (kind === "text" || text === "]" || text === ")")) return "it calls what is not a plain name";
    if (!call || kind === "sign" || isNamed(tokens, index)) continue;
    const qualified = sign(previous, ".");
    let name = text;
    for (let at = index - 1; sign(tokens[at], ".") && tokens[at - 1]; at -= 2) name = `${tokens[at - 1]!.text}.${name}`;
    if (admitted.has(name)) continue;
    if (kind !== "word" || qualified || !(functions.has(text) || isClause(tokens, index))) return `it calls ${name}`;
  }
  return undefined;
}

/**
 * Why a statement is refused, or `undefined` where it surely only reads. It fails closed: one statement that begins
 * with SELECT, WITH or VALUES, without comments, without a word that writes or locks, and with calls of functions that
 * the dialect's catalogue has as reading ones, or that `admitted` names. Where a backslash may be read in two ways both
 * must pass, or be no statement at all, so that a database that reads it so runs nothing. It is the first of two guards: the second is a
 * connection that cannot write.
 */
export function refusal(
  statement: string,
  dialect: Database["dialect"],
  admitted: readonly string[] = [],
): string | undefined {
  if (statement.length > 20_000) return "it is longer than 20,000 characters";
  const plain = statement.trim().replace(/;\s*$/, "");
  const names = new Set(admitted.map((name) => name.toLowerCase()));
  const ways = dialect === "sqlite" || !plain.includes("\\") ? [false] : [false, true];
  const readings = ways.map((escapes) => {
    const read = sqlTokens(plain, { dialect, escapes });
    if (!("reason" in read)) return { reason: reasonAgainst(read, sqlFunctions[dialect], names), void: false };
    // what stands before the fault might run where a database takes one statement after another
    const before = reasonAgainst(read.tokens, sqlFunctions[dialect], names);
    return { reason: before ?? read.reason, void: before === undefined && read.void };
  });
  const read = readings.filter((reading) => !reading.void);
  return (read.length > 0 ? read : readings).find(({ reason }) => reason !== undefined)?.reason;
}
