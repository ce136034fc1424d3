const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
// after which a full stop ends no sentence
const abbreviation =
  /(?:\b(?:e\.g|i\.e|etc|cf|vs|Mr|Mrs|Ms|Dr|St|Jr|Sr|No|Nr|Fig|Eq|approx|U\.S|z\.\s?B|d\.\s?h|bzw|ca|usw|p\.\s?ex|Abs|Art)|\b\p{Lu}|^\d{1,3})\.\s*$/u;
// what is one word of a sentence, whatever signs it holds: code, a link or an image with its target, an address
const unit =
  /(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)|!?\[(?:[^[\]]|\[[^[\]]*\])*\](?:\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?:\s+"[^"]*")?\)|\[[^\]]*\])|<?\bhttps?:\/\/[^\s<>)]*[^\s<>).,;:!?]>?/g;

/** A text in which each unit is a row of letters, character for character, so that no sign in it ends a sentence. */
const masked = (text: string): string => text.replace(unit, (found) => "x".repeat(found.length));

/** The sentences of a paragraph, in order, each on one line. Code, links and addresses are never cut. */
export function sentencesIn(paragraph: string): string[] {
  const flat = paragraph.replace(/\s+/g, " ").trim();
  const plain = masked(flat);
  const sentences: string[] = [];
  let from = 0;
  for (const { segment, index } of segmenter.segment(plain)) {
    const to = index + segment.length;
    if (abbreviation.test(plain.slice(from, to)) && to < plain.length) continue;
    sentences.push(flat.slice(from, to).trim());
    from = to;
  }
  return sentences.filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}

/** The sentences of a text, in order, each on one line. Lines of a list or a table, and paragraphs, end a sentence. */
export const sentencesOf = (text: string): string[] =>
  text.split(/\n\s*\n|\n(?=\s*(?:[-*+|>]|\d+[.)])\s)/).flatMap(sentencesIn);

/** A sentence of at most `length` characters: where it is longer it ends at a space, outside code and links, with "…". */
export function clipped(sentence: string, length: number): string {
  if (sentence.length <= length) return sentence;
  const plain = sentence.replace(unit, (found) => "x".repeat(found.length));
  const end = plain.lastIndexOf(" ", length - 1);
  return end > length / 2
    ? `${sentence.slice(0, end).replace(/[,;:]$/, "")} …`
    : plain.includes(" ")
      ? sentence
      : `${sentence.slice(0, length - 1)}…`;
}
