// internal: didYouMean
/**
 * The number of single-character edits between two words (Levenshtein distance), or `most + 1` where there are more than
 * `most`: only the cells within `most` of the diagonal are computed (Ukkonen 1985).
 */
function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = new Array<number>(b.length + 1).fill(most + 1);
    if (i <= most) next[0] = i;
    let least = next[0]!;
    for (let j = Math.max(1, i - most); j <= Math.min(b.length, i + most); j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      least = Math.min(least, next[j]!);
    }
    if (least > most) return most + 1;
    row = next;
  }
  return Math.min(row[b.length]!, most + 1);
}

/** A hint for a misspelt name: the nearest known one, or the known ones where none is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known];
  if (names.length === 0) return "there is none";
  const short = name.slice(0, 64);
  let nearest: string | undefined;
  let most = Math.min(6, Math.max(2, Math.floor(short.length / 3)));
  for (const candidate of names) {
    const edits = distance(short, candidate.slice(0, 64), most);
    if (edits > most) continue;
    nearest = candidate;
    most = edits - 1;
    if (most < 0) break;
  }
  if (nearest !== undefined) return `did you mean "${nearest}"?`;
  const shown = names.slice(0, 12).map((candidate) => `"${candidate}"`);
  return `known: ${shown.join(", ")}${names.length > shown.length ? `, and ${names.length - shown.length} more` : ""}`;
}
