// public: folded
// letters that Unicode does not take apart, in the letters that a keyboard without them has
const letters: Record<string, string> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  đ: "d",
  ð: "d",
  þ: "th",
  ł: "l",
  ħ: "h",
  ŧ: "t",
  ŋ: "ng",
  ı: "i",
  ĸ: "k",
  ς: "σ",
  ى: "ي",
  ی: "ي",
  ک: "ك",
  ة: "ه",
  ـ: "",
};

// marks of the European scripts, and the vowel signs of Arabic and Hebrew, which people leave out; not those of scripts
// whose marks are letters, such as Devanagari and Thai
const leftOut =
  /[\u0300-\u036f]|[\u0591-\u05bd]|[\u064b-\u065f]|\u0670|[\u1ab0-\u1aff]|[\u1dc0-\u1dff]|[\u20d0-\u20ff]|[\ufe20-\ufe2f]/g;
const plain = /^[\x20-\x7e]*$/;

const known = new Map<string, string>();

function foldedCharacter(character: string): string {
  let found = known.get(character);
  if (found === undefined) {
    const own = letters[character];
    // Hangul comes apart in another way, and kana keep their marks
    const parts = /[\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}]/u.test(
      character,
    )
      ? character
      : character.normalize("NFKD").replace(leftOut, "");
    found = own ?? (parts.length > 1 && !/^[\p{L}\p{M}]+$/u.test(parts) ? character : parts);
    known.set(character, found);
  }
  return found;
}

/**
 * A word in the letters that a plain keyboard has: without accents, `ß` as "ss", `ø` as "o", a dotless `ı` as "i", Arabic
 * without its vowel signs. Two words that are written alike but for this are forms of one word.
 */
export function folded(word: string): string {
  if (plain.test(word)) return word;
  let result = "";
  for (const character of word) result += foldedCharacter(character);
  return result;
}
