const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** Sentences, and lines, with their white space: joined they are the text. */
export const sentencesOf = (text: string): string[] =>
  [...segmenter.segment(text)].flatMap(({ segment }) => segment.split(/(?<=\n)/)).filter((part) => part !== "");
