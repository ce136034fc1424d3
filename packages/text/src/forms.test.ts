import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { askedIn } from "./asked.js";
import { folded } from "./fold.js";
import { formsOf, formWeights, WordList } from "./forms.js";
import { type Language, languagesOf } from "./languages.js";
import { stemOf } from "./stems.js";
import { words } from "./words.js";

const { folded: alike, stem, part } = formWeights;

it.each([
  ["peña", "pena"],
  ["Straße", "strasse"],
  ["smørrebrød", "smorrebrod"],
  ["Łódź", "lodz"],
  ["ıstanbul", "istanbul"],
  ["Σίσυφος", "σισυφοσ"],
  ["مُحَمَّد", "محمد"],
  ["हिन्दी", "हिन्दी"],
  ["ガイド", "ガイド"],
  ["식당", "식당"],
])("%s is %s in folded letters", (word, plain) => expect(folded(words(word)[0]!)).toBe(plain));

it.each<[string, Language[]]>([
  ["where are retries backed off?", ["en"]],
  ["wann wird die Datensicherung erstellt?", ["de"]],
  ["à quelle heure ouvre la véranda", ["fr"]],
  ["¿cuándo abre la oficina?", ["es"]],
  ["wanneer wordt de back-up gemaakt?", ["nl"]],
  ["когда открывается касса?", ["ru"]],
  ["宠物可以上船吗？", ["zh"]],
  ["ペットは乗船できますか", ["ja"]],
  ["식당은 언제 열어요?", ["ko"]],
  ["ที่จอดรถเปิดถึงกี่โมง", ["th"]],
  ["backoff", []],
])("the language of %j", (text, languages) => expect(languagesOf(words(text))).toEqual(languages));

describe("the forms of a word", () => {
  it.each<[string, Language, string, Record<string, number>]>([
    ["retry", "en", "retry retries retried retina", { retry: 1, retries: stem, retried: stem }],
    ["pena", "es", "peña penas pensar", { peña: alike, penas: stem }],
    ["instalacion", "es", "instalación instalaciones", { instalación: alike, instalaciones: stem }],
    ["offnungszeiten", "de", "öffnungszeiten", { öffnungszeiten: alike }],
    ["moewe", "de", "möwe möwen", { möwe: alike, möwen: stem }],
    ["strasse", "de", "straße straßen", { straße: alike, straßen: stem }],
    ["größe", "de", "groß", { groß: stem }],
    ["datensicherung", "de", "datensicherungen", { datensicherungen: stem }],
    ["sicherung", "de", "datensicherungen versicherung etikette", { datensicherungen: part }],
    ["datensicherung", "de", "daten sicherungen", { daten: part, sicherungen: part }],
    ["kette", "de", "etikette", {}],
    ["öppettider", "sv", "öppettid", { öppettid: stem }],
    ["식당", "ko", "식당에서 식당은 식품", { 식당에서: stem, 식당은: stem }],
    ["식당에서", "ko", "식당", { 식당: stem }],
    ["كتاب", "ar", "الكتاب", { الكتاب: stem }],
    ["สถานที่จอดรถ", "th", "", {}],
    ["istanbul", "tr", "ıstanbul", { ıstanbul: alike }],
    ["2.1.0", "en", "2.1.0 2.0.1 1.2.0", { "2.1.0": 1 }],
    ["c", "en", "c++ c# cs", {}],
  ])("%s (%s) among %j", (word, language, vocabulary, forms) => {
    expect(Object.fromEntries(formsOf(word, [language], new WordList(words(vocabulary))))).toEqual(forms);
  });

  it("weigh most where they are the word, and less the further they are", () => {
    const letters = fc.string({ unit: fc.constantFrom(..."aeioustrngléü"), minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(
        letters,
        fc.array(letters, { maxLength: 30 }),
        fc.constantFrom<Language>("en", "de", "fr"),
        (...given) => {
          const [word, list, language] = given;
          const forms = formsOf(word, [language], new WordList([...list, word]));
          expect([...forms][0]).toEqual([word, 1]);
          for (const [form, weight] of forms) {
            expect([...list, word]).toContain(form);
            if (form !== word) expect(weight).toBeLessThan(1);
            if (weight === alike) expect(folded(form)).toBe(folded(word));
          }
          // every word of the same stem is among them
          if (word.length >= 3)
            for (const other of list)
              if (other.slice(0, 3) === word.slice(0, 3) && stemOf(other, language) === stemOf(word, language))
                expect(forms.has(other)).toBe(true);
        },
      ),
    );
  });
});

describe("what a question asks for", () => {
  it("leaves out how it is asked", () => {
    const { languages, words: asked } = askedIn("wie groß ist die Möwe, die Möwe?");
    expect(languages).toEqual(["de"]);
    expect([...asked]).toEqual([
      ["wie", { times: 1, content: false, piece: false }],
      ["groß", { times: 1, content: true, piece: false }],
      ["ist", { times: 1, content: false, piece: false }],
      ["die", { times: 2, content: false, piece: false }],
      ["möwe", { times: 2, content: true, piece: false }],
    ]);
  });

  it("knows what is but a piece of a word", () => {
    const pieces = (question: string) =>
      [...askedIn(question).words].filter(([, { piece }]) => piece).map(([word]) => word);
    expect(pieces("what changed in 2.1.0?")).toEqual(["2", "1", "2.1", "0"]);
    expect(pieces("the 2 changes of 2.1")).toEqual(["1"]);
    expect(pieces("宠物可以上船吗？")).toEqual(["宠", "物", "可", "以", "上", "船"]);
    expect(pieces("maxRetry")).toEqual([]);
  });

  it("is in the language of the texts where it does not say", () => {
    expect(askedIn("Datensicherung", ["de"]).languages).toEqual(["de"]);
    expect(askedIn("retry in client", ["en"]).languages).toEqual(["en"]);
    expect(askedIn("was ist", ["en"], "de").languages).toEqual(["de"]);
  });
});
