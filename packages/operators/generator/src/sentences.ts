const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
// after which a full stop ends no sentence
const abbreviation = /(?:\b(?:e\.g|i\.e|etc|cf|vs|Mr|Mrs|Ms|Dr|St|Jr|Sr|No|Fig|Eq|approx|U\.S)|\b\p{Lu})\.\s*$/u;

/** The sentences of a text, in order, each on one line. Lines of a list or a table, and paragraphs, end a sentence. */
export function sentencesOf(text: string): string[] {
  return text.split(/\n\s*\n|\n(?=\s*(?:[-*+|>]|\d+[.)])\s)/).flatMap((paragraph) => {
    const sentences: string[] = [];
    let open = "";
    for (const { segment } of segmenter.segment(paragraph.replace(/\s+/g, " ").trim())) {
      open += segment;
      if (abbreviation.test(open)) continue;
      sentences.push(open.trim());
      open = "";
    }
    if (open.trim() !== "") sentences.push(open.trim());
    return sentences.filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
  });
}
