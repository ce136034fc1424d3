// public: stemOf
import { createRequire } from "node:module";
import { stemmer as english } from "@orama/stemmers/english";
import { folded } from "./fold.js";
import type { Language } from "./languages.js";

const require = createRequire(import.meta.url);
type Stem = (word: string) => string;

// particles and endings of Korean, the longest first; what is left is the noun
const particles =
  /^(.+?)(?:에게서는|으로부터|에서부터|으로서|으로써|이라고|했습니다|하였습니다|됐습니다|되었습니다|습니다|습니까|한가요|할까요|에서는|에서도|에게서|까지는|까지도|이라는|으로는|으로도|께서는|한테서|입니까|입니다|합니다|됩니다|인가요|하나요|되나요|에서|에게|으로|까지|부터|처럼|보다|마다|조차|한테|께서|이나|이란|라는|이라|에는|에도|로는|로도|와의|과의|만은|하다|하는|되는|하고|하기|하며|하면|해요|되면|나요|은|는|이|가|을|를|의|에|도|로|와|과|만|랑)$/u;
const korean: Stem = (word) => (/^[\p{Script=Hangul}]+$/u.test(word) ? (particles.exec(word)?.[1] ?? word) : word);

const loaded = new Map<Language, Stem>([
  ["en", english],
  ["ko", korean],
]);
const unchanged: Stem = (word) => word;

// the languages of stemmers.cjs
const inFile = new Set("ar bg da de el es fi fr hi hu it nl no pt ro ru sv ta tr uk".split(" "));
let stemmers: Record<string, () => Stem> | undefined;

/** @throws Error where a bundler left the file out: it cannot see which languages a program meets. */
function load(language: Language): Stem {
  try {
    stemmers ??= require("./stemmers.cjs") as Record<string, () => Stem>;
    return stemmers[language]!();
  } catch (cause) {
    throw new Error(`the stems of ${language} cannot be loaded: let your bundler keep "@tessera/text" external`, {
      cause,
    });
  }
}

function stemmerOf(language: Language): Stem {
  let stem = loaded.get(language);
  if (!stem) {
    stem = inFile.has(language) ? load(language) : unchanged;
    loaded.set(language, stem);
  }
  return stem;
}

const kept = 100_000;
const cache = new Map<Language, Map<string, string>>();
const letters = /^[\p{L}\p{M}]+$/u;

/**
 * What a word has in common with its other forms, in folded letters: Porter's stem of an English word, Snowball's of
 * some twenty other languages, the noun of a Korean word with its particle. Numbers and names with signs are their own.
 */
export function stemOf(word: string, language: Language): string {
  let known = cache.get(language);
  if (!known) {
    known = new Map();
    cache.set(language, known);
  }
  let stem = known.get(word);
  if (stem === undefined) {
    stem = folded(letters.test(word) ? stemmerOf(language)(word) || word : word);
    if (known.size >= kept) known.clear();
    known.set(word, stem);
  }
  return stem;
}
