// public: stemOf
import { createRequire } from "node:module";
import { stemmer as english } from "@orama/stemmers/english";
import { folded } from "./fold.js";
import type { Language } from "./languages.js";

// the stemmers of @orama/stemmers by language, without English, which every program needs; Korean has its own below
const stemmers: Partial<Record<Language, string>> = {
  ar: "arabic",
  bg: "bulgarian",
  da: "danish",
  de: "german",
  el: "greek",
  es: "spanish",
  fi: "finnish",
  fr: "french",
  hi: "indian",
  hu: "hungarian",
  it: "italian",
  nl: "dutch",
  no: "norwegian",
  pt: "portuguese",
  ro: "romanian",
  ru: "russian",
  sv: "swedish",
  ta: "tamil",
  tr: "turkish",
  uk: "ukrainian",
};

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

/** @throws Error where a bundler left the package out: it cannot see which languages a program meets. */
function load(name: string): Stem {
  try {
    return (require(`@orama/stemmers/${name}`) as { stemmer: Stem }).stemmer;
  } catch (cause) {
    throw new Error(`the stems of ${name} cannot be loaded: let your bundler keep "@orama/stemmers" external`, {
      cause,
    });
  }
}

function stemmerOf(language: Language): Stem {
  let stem = loaded.get(language);
  if (!stem) {
    const name = stemmers[language];
    // each is a file of some kilobytes, read when its language is first met
    stem = name === undefined ? unchanged : load(name);
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
