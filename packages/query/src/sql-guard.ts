// internal
import type { Database } from "@tessera/core";

const list = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/));

/** What a statement that only reads may begin with. */
const beginnings = list("select with values");

/** Words that change data, or lock it, wherever they stand: also inside a WITH, and after a SELECT. */
const writes = list("insert update delete merge replace into upsert truncate");

/** Words that a parenthesis may follow without a call. */
const clauses = list(`
  all and any array as between by case cross distinct else except exists filter from full group having in inner
  intersect is join key lateral left like ilike limit materialized natural not of offset on or order outer over
  partition recursive returning right row rows select similar some then to union using values when where window with
  within char character decimal numeric varchar float double time timestamp interval escape glob regexp rlike div mod
  xor ordinality tablesample return`);

/** Functions that read only. Any other call is refused: an unknown function may sleep, write or open a file. */
const functions = list(`
  abs acos array_agg array_length ascii asin atan atan2 avg bit_length bool_and bool_or btrim cast ceil ceiling
  char_length character_length coalesce concat concat_ws corr cos cot count cume_dist current_date current_time
  current_timestamp curdate date date_add date_format date_part date_sub date_trunc datediff datetime day dayofmonth
  dayofweek dayofyear degrees dense_rank every exp extract first_value floor format from_unixtime generate_series
  greatest group_concat grouping hour if ifnull iif initcap instr isnull json json_agg json_array json_array_length
  json_each json_extract json_object json_object_agg json_type json_valid jsonb_agg julianday lag last_value lcase lead
  least left length likelihood likely ln locate log log10 log2 lower lpad ltrim make_date max md5 mid min minute mod
  month nth_value ntile nullif octet_length overlay percent_rank percentile_cont percentile_disc pi position pow power
  printf quarter quote radians rank regexp_count regexp_like regexp_matches regexp_replace regexp_substr repeat replace
  reverse right round row_number rpad rtrim second sign sin split_part sqrt stddev stddev_pop stddev_samp str_to_date
  strftime string_agg strpos substr substring sum tan time timediff timestampdiff to_char to_date to_number
  to_timestamp total translate trim trunc truncate typeof ucase unicode unnest unixepoch upper variance var_pop var_samp
  week weekday year yearweek`);

interface Token {
  readonly kind: "word" | "quoted" | "text" | "sign";
  readonly text: string;
}

const closings: Record<string, string> = { "'": "'", '"': '"', "`": "`", "[": "]" };

/** The tokens of a statement, or why it cannot be read with certainty. What two databases may read differently is refused. */
function tokensOf(statement: string, dialect: Database["dialect"]): Token[] | string {
  const tokens: Token[] = [];
  for (let at = 0; at < statement.length; ) {
    const character = statement[at]!;
    const two = statement.slice(at, at + 2);
    if (/[ \t\r\n]/.test(character)) {
      at += 1;
    } else if (two === "--" || two === "/*" || (character === "#" && dialect === "mysql")) {
      return "it holds a comment";
    } else if (character in closings && !(character === "[" && dialect !== "sqlite")) {
      if (character === "`" && dialect === "postgresql") return "it holds a backtick";
      const closing = closings[character]!;
      let end = at + 1;
      while (
        end < statement.length &&
        (statement[end] !== closing || (closing !== "]" && statement[end + 1] === closing))
      ) {
        if (statement[end] === "\\" && closing !== "]") return "it holds a backslash in quotes";
        end += statement[end] === closing ? 2 : 1;
      }
      if (end >= statement.length) return "a quote is not closed";
      const name = character !== "'" && !(character === '"' && dialect === "mysql");
      tokens.push({ kind: name ? "quoted" : "text", text: statement.slice(at + 1, end).toLowerCase() });
      at = end + 1;
    } else if (/[\p{L}\p{N}_]/u.test(character)) {
      const word = /^[\p{L}\p{N}\p{M}_]+/u.exec(statement.slice(at))![0];
      tokens.push({ kind: "word", text: word.toLowerCase() });
      at += word.length;
    } else if (/^\[[^\]]*['"`]/.test(statement.slice(at, at + 200))) {
      return "it holds a quote in brackets";
    } else if (two === ":=") {
      return "it assigns a variable";
    } else if (/[-+*/%<>=!~^&|()[\].,;:?@#]/.test(character)) {
      tokens.push({ kind: "sign", text: character });
      at += 1;
    } else {
      return `it holds the character ${JSON.stringify(character)}`;
    }
  }
  return tokens;
}

/**
 * Why a statement is refused, or `undefined` where it surely only reads. It fails closed: one statement that begins
 * with SELECT, WITH or VALUES, without comments, without a word that writes or locks, and with calls of known reading
 * functions only. It is the first of two guards: the second is a connection that cannot write.
 */
export function refusal(statement: string, dialect: Database["dialect"]): string | undefined {
  if (statement.length > 20_000) return "it is longer than 20,000 characters";
  const tokens = tokensOf(statement.trim().replace(/;\s*$/, ""), dialect);
  if (typeof tokens === "string") return tokens;
  const first = tokens.find(({ text }) => text !== "(");
  if (first?.kind !== "word" || !beginnings.has(first.text)) return "it does not begin with SELECT, WITH or VALUES";
  for (const [index, { kind, text }] of tokens.entries()) {
    const [before, after] = [tokens[index - 1], tokens[index + 1]];
    const call = after?.kind === "sign" && after.text === "(";
    if (kind === "sign" && text === ";") return "it holds more than one statement";
    if (kind === "word" && writes.has(text) && !(call && functions.has(text))) return `it holds ${text.toUpperCase()}`;
    const locks = text === "lock" && after?.text === "in" && tokens[index + 2]?.text === "share"; // MySQL's older way
    if (kind === "word" && (locks || (text === "for" && ["share", "no", "key"].includes(after?.text ?? ""))))
      return "it locks rows";
    if (call && (kind === "text" || text === "]" || text === ")")) return "it calls what is not a plain name";
    if (!call || kind === "sign") continue;
    const named = before?.kind === "word" && ["as", "with", "recursive"].includes(before.text); // t(a, b)
    const known = functions.has(text) && before?.text !== "." && kind === "word";
    if (!named && !known && !(kind === "word" && clauses.has(text) && before?.text !== ".")) return `it calls ${text}`;
  }
  return undefined;
}
