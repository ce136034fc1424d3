let segmenter: Intl.Segmenter | undefined; // made on first use: it takes milliseconds
const han = /^\p{Script=Han}{2,}$/u;
const said = /[\p{L}\p{N}\p{Extended_Pictographic}]/u;

/** The words of a run of a script without spaces; of a word of several Han characters these before it. */
export function segmented(run: string): string[] {
  const found: string[] = [];
  segmenter ??= new Intl.Segmenter("en", { granularity: "word" });
  for (const { segment } of segmenter.segment(run)) {
    const word = /[\u2e80-\uffff]/.test(segment) ? segment.normalize("NFKC") : segment;
    if (!said.test(word)) continue;
    if (han.test(word)) found.push(...word);
    found.push(word);
  }
  return found;
}
