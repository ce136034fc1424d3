import {
  type Asked,
  askedIn,
  beginningOf,
  folded,
  formsOf,
  functionWordsOf,
  type Language,
  languages,
  languagesOfTexts,
  pieceWeight,
  type Vocabulary,
  words,
} from "@tessera/text";
import type { Bm25Settings } from "./bm25.js";
import type { SqlConnection } from "./database.js";

/** A form of a word of a question, as a statement takes it. */
interface AskedForm {
  readonly word: string;
  /** How often the word was asked, times what this form of it counts. */
  readonly factor: number;
  /** Which word of the question it is a form of, and whether it is that word. */
  readonly group: number;
  readonly own: boolean;
}

/** Without half a character, which a database does not take. */
const wellFormed = (word: string): string => word.replace(/\p{Surrogate}/gu, "\ufffd");

/** How often a text has each of its words. */
export function counted(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const found of words(text)) {
    const word = wellFormed(found);
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** What the table of words holds of a word so that its forms are found: a row of `json_to_recordset`. */
export const termOf = (word: string) => ({
  word,
  beginning: wellFormed(beginningOf(word)),
  plain: wellFormed(folded(word)),
});

/**
 * The words of a store, as far as they were read. `formsOf` asks at once and the database answers later: what was asked and
 * is not known yet is read between two turns, until a turn asks nothing new.
 */
class ReadTerms implements Vocabulary {
  readonly #has = new Map<string, boolean>();
  readonly #beginning = new Map<string, string[]>();
  readonly #holding = new Map<string, string[]>();
  readonly #wanted = { has: new Set<string>(), beginning: new Set<string>(), holding: new Set<string>() };

  has(word: string): boolean {
    const known = this.#has.get(word);
    if (known === undefined) this.#wanted.has.add(word);
    return known ?? false;
  }

  beginning(letters: string): Iterable<string> {
    const known = this.#beginning.get(letters);
    if (!known) this.#wanted.beginning.add(letters);
    return known ?? [];
  }

  holding(letters: string): Iterable<string> {
    const known = this.#holding.get(letters);
    if (!known) this.#wanted.holding.add(letters);
    return known ?? [];
  }

  /** Reads what was asked and not known; false where there was nothing to read. */
  async read(connection: SqlConnection, schema: string): Promise<boolean> {
    const [has, beginning, holding] = [this.#wanted.has, this.#wanted.beginning, this.#wanted.holding].map((set) => [
      ...set,
    ]) as [string[], string[], string[]];
    if (has.length + beginning.length + holding.length === 0) return false;
    const { rows } = await connection.query<{ kind: "has" | "beginning" | "holding"; asked: string; word: string }>(
      `SELECT 'has' AS kind, word AS asked, word FROM ${schema}.term WHERE word = ANY($1::text[]) AND holders > 0
       UNION ALL
       SELECT 'beginning', beginning, word FROM ${schema}.term WHERE beginning = ANY($2::text[]) AND holders > 0
       UNION ALL
       SELECT 'holding', asked, word FROM ${schema}.term, unnest($3::text[]) AS asked
       WHERE position(asked IN plain) > 0 AND length(plain) > length(asked) AND holders > 0`,
      [has, beginning, holding].map((list) => list.map(wellFormed)),
    );
    for (const word of has) this.#has.set(word, false);
    for (const letters of beginning) this.#beginning.set(letters, []);
    for (const letters of holding) this.#holding.set(letters, []);
    for (const { kind, asked, word } of rows) {
      if (kind === "has") this.#has.set(asked, true);
      else (kind === "beginning" ? this.#beginning : this.#holding).get(asked)?.push(word);
    }
    for (const set of Object.values(this.#wanted)) set.clear();
    return true;
  }
}

/** The languages that the passages of a store are in. */
export async function languagesIn(connection: SqlConnection, schema: string): Promise<Language[]> {
  const known = [...new Set(languages.flatMap((language) => [...functionWordsOf(language)]))];
  const { rows } = await connection.query<{ word: string; holders: number }>(
    `SELECT word, holders FROM ${schema}.term WHERE word = ANY($1::text[])`,
    [known],
  );
  const holders = new Map(rows.map((row) => [row.word, row.holders]));
  return languagesOfTexts((word) => holders.get(word) ?? 0);
}

/** The words that a question asks for, in all forms that the store holds, weighed as `referenceBm25` weighs them. */
export async function askedForms(
  text: string,
  { language, forms: all = true }: Pick<Bm25Settings, "language" | "forms">,
  store: { readonly connection: SqlConnection; readonly schema: string; readonly languages: readonly Language[] },
): Promise<AskedForm[]> {
  const asked = askedIn(text, store.languages, language);
  const terms = new ReadTerms();
  for (;;) {
    const found = formsIn(asked, all, terms);
    if (!(await terms.read(store.connection, store.schema))) return found;
  }
}

function formsIn(asked: Asked, all: boolean, terms: Vocabulary): AskedForm[] {
  return [...asked.words].flatMap(([word, { times, content, piece }], group) => {
    const forms = all && content ? formsOf(word, asked.languages, terms) : new Map([[word, 1]]);
    return [...forms].map(([form, weight]) => ({
      word: wellFormed(form),
      factor: times * weight * (piece ? pieceWeight : 1),
      group,
      own: form === word,
    }));
  });
}
