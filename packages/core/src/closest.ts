/** The number of single-character edits between two short words (Levenshtein distance). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** A hint for a misspelt name: the nearest known one, or the known ones where none is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known];
  if (names.length === 0) return "there is none";
  const short = name.slice(0, 64);
  const [nearest, edits] = names
    .map((candidate) => [candidate, distance(short, candidate.slice(0, 64))] as const)
    .reduce((best, next) => (next[1] < best[1] ? next : best));
  if (edits <= Math.max(2, Math.floor(short.length / 3))) return `did you mean "${nearest}"?`;
  const shown = names.slice(0, 12).map((candidate) => `"${candidate}"`);
  return `known: ${shown.join(", ")}${names.length > shown.length ? `, and ${names.length - shown.length} more` : ""}`;
}
