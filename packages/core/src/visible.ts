/** Tells whether a text has a character of one of these scripts. The expression is made on first use: that takes a while. */
function inScripts(names: string, before = ""): (text: string) => boolean {
  let expression: RegExp | undefined;
  return (text) => {
    const scripts = names.trim().split(/\s+/);
    expression ??= new RegExp(`${before}[${scripts.map((script) => `\\p{Script=${script}}`).join("")}]`, "u");
    return expression.test(text);
  };
}

// in these a joiner, or its opposite, changes the shape of the letters around it
const isJoining = inScripts(`
    Arabic Syriac Mandaic Nko Mongolian Phags_Pa Manichaean Psalter_Pahlavi Hanifi_Rohingya Sogdian Adlam
    Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala Tibetan Myanmar Khmer
    Balinese Javanese Sundanese Meetei_Mayek Chakma Brahmi Grantha Tirhuta Siddham Modi Newa Sharada Khojki Kaithi`);
// in these words are not parted by spaces, and a space without width says where a line may break
const isUnspaced = inScripts("Thai Lao Khmer Myanmar Tai_Le New_Tai_Lue Tai_Tham Tai_Viet Javanese Balinese");
const isRightToLeft = inScripts(
  "Hebrew Arabic Syriac Thaana Nko Samaritan Mandaic Adlam Hanifi_Rohingya Yezidi",
  "(?=\\p{L})",
);
const mongolian = /\p{Script=Mongolian}/u;
const emoji = /\p{Extended_Pictographic}/u;

interface Place {
  /** The character before, which is what a joiner or a variation belongs to. */
  readonly before: string;
  /** The one before that. */
  readonly earlier: string;
  readonly after: string;
  /** The line around the place, at most 100 UTF-16 code units to each side. */
  readonly line: () => string;
}

/** Characters without a glyph of their own, and where each has a meaning. What is not here has none. */
const meanings: readonly (readonly [RegExp, (place: Place) => boolean])[] = [
  // joiners: in joining and Indic scripts, and between emoji
  [
    /\u200c|\u200d/,
    ({ before, earlier, after }) =>
      isJoining(before) ||
      (emoji.test(after) &&
        (/[\p{Extended_Pictographic}\p{Emoji_Modifier}]/u.test(before) ||
          (before === "\ufe0f" && emoji.test(earlier)))),
  ],
  // the choice between text and emoji, and keycaps
  [/[\ufe0e\ufe0f]/, ({ before, after }) => (/[0-9#*]/.test(before) ? after === "\u20e3" : /\p{Emoji}/u.test(before))],
  // variants of mathematical signs, ideographs and their punctuation, and of two scripts
  [
    /[\ufe00-\ufe0d]/,
    ({ before }) =>
      /[\p{Sm}\p{Script=Han}\p{Script=Myanmar}\p{Script=Phags_Pa}\u3001\u3002\uff01-\uff1f]/u.test(before),
  ],
  [/[\u{e0100}-\u{e01ef}]/u, ({ before }) => /\p{Script=Han}/u.test(before)],
  [/[\u180b-\u180f]/, ({ before }) => mongolian.test(before)],
  [/\u034f/, ({ before }) => /[\p{M}\p{Script=Hebrew}]/u.test(before)],
  // fillers stand for a part that a syllable of jamo lacks
  [/\u115f/, ({ after }) => /[\u1161-\u11a7]/.test(after)],
  [/\u1160/, ({ before }) => /[\u1100-\u115e]/.test(before)],
  [/\u200b/, ({ before, after }) => isUnspaced(before) && isUnspaced(after)],
  [/[\u200e\u200f\u061c]/, ({ line }) => isRightToLeft(line())],
  [/[\u{1bca0}-\u{1bca3}]/u, ({ before }) => /\p{Script=Duployan}/u.test(before)],
  [/[\u{1d173}-\u{1d17a}]/u, ({ before, after }) => /[\u{1d100}-\u{1d172}\u{1d17b}-\u{1d1ff}]/u.test(before + after)],
  [/[\u{13430}-\u{1343f}]/u, ({ before }) => /\p{Script=Egyptian_Hieroglyphs}/u.test(before)],
];

// the flags of England, Scotland and Wales are spelt in tags
const flag = ["gbeng", "gbsct", "gbwls"]
  .map((name) => [...name].map((letter) => `\\u{${(0xe0000 + letter.codePointAt(0)!).toString(16)}}`).join(""))
  .join("|");
const doubtful = new RegExp(`\\u{1f3f4}(?:${flag})\\u{e007f}|[\\p{C}\\p{Default_Ignorable_Code_Point}]`, "gu");
/** Formats without a glyph. The other formats of Unicode are signs that are seen, such as that of a year in Arabic. */
const unseen = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb\u{13430}-\u{1343f}]/u;

const before = (text: string, at: number): string => {
  const low = text.charCodeAt(at - 1);
  return text.slice(at - (low >= 0xdc00 && low < 0xe000 && at > 1 ? 2 : 1), at);
};

function placeOf(text: string, at: number, length: number): Place {
  const previous = at === 0 ? "" : before(text, at);
  const next = text.codePointAt(at + length);
  return {
    before: previous,
    earlier: at - previous.length > 0 ? before(text, at - previous.length) : "",
    after: next === undefined ? "" : String.fromCodePoint(next),
    line: () => {
      const start = text.slice(Math.max(0, at - 100), at);
      const rest = text.slice(at, at + 100);
      return start.slice(start.lastIndexOf("\n") + 1) + rest.split("\n", 1)[0]!;
    },
  };
}

/**
 * A text as its reader sees it. Letters, marks, numbers, punctuation, symbols, spaces, private characters and line ends
 * pass. Of the characters without a glyph those pass that have a meaning where they stand (a joiner in Persian, a
 * variation after an emoji); the rest is dropped, and so is a second one after the first. Old separators become line
 * ends, half a surrogate pair the replacement character.
 */
export function visible(text: string): string {
  return text.replace(doubtful, (character: string, at: number) => {
    // places that Unicode keeps for emoji to come are among those that are not assigned
    if (/^[\t\n\r\p{Co}\p{Extended_Pictographic}]/u.test(character)) return character;
    if (/^[\v\f\u0085]/.test(character)) return "\n";
    if (/^\p{Cs}/u.test(character)) return "\ufffd";
    const kind = meanings.find(([which]) => which.test(character));
    if (!kind) return /^\p{Cf}/u.test(character) && !unseen.test(character) ? character : "";
    const place = placeOf(text, at, character.length);
    const alone = !unseen.test(place.before) || (place.before === "\ufe0f" && character === "\u200d");
    return alone && kind[1](place) ? character : "";
  });
}
