import type { Hit } from "@tessera/core";

/** What the indexer marks: files that others or programs wrote, and tests. */
const marks = ["generated", "vendored", "test"] as const;

/** Whether a question asks for tests: then they are not held back. */
const asksForTests = (query: string): boolean => /\b(?:tests?|tested|testing|specs?)\b/i.test(query);

/**
 * Hits in the order of their scores, where what others or programs wrote, and tests, keep a share of theirs. They are still
 * found where nothing else answers.
 * @param share From 0 to 1; 1 leaves all as it is.
 */
export function holdBack(hits: readonly Hit[], query: string, share: number): Hit[] {
  const held = asksForTests(query) ? marks.filter((mark) => mark !== "test") : marks;
  const isHeld = ({ passage, score }: Hit) => score > 0 && held.some((mark) => passage.metadata[mark] === true);
  if (share === 1 || !hits.some(isHeld)) return [...hits];
  return hits
    .map((hit) => (isHeld(hit) ? { ...hit, score: hit.score * share } : hit))
    .sort((a, b) => b.score - a.score || (a.passage.id < b.passage.id ? -1 : 1));
}
