import { uniform } from "@tessera/core/internal";

const syllables = [..."bdfgklmnprstvz"].flatMap((consonant) => [..."aeiou"].map((vowel) => consonant + vowel));

/** Pronounceable and letters alone, so that every tokenizer sees the same words. */
function wordOf(rank: number): string {
  let word = "";
  for (let rest = rank + syllables.length; rest > 0; rest = Math.floor(rest / syllables.length))
    word += syllables[rest % syllables.length]!;
  return word;
}

/** The different words of the synthetic language, the most frequent first. */
export const vocabulary: readonly string[] = Array.from({ length: 50_000 }, (_, rank) => wordOf(rank));

/** Ranks from 0 by Zipf's law: rank r comes with probability proportional to 1 / (r + 1). */
export function zipfRanks(random: () => number, size = vocabulary.length): () => number {
  const sums = new Float64Array(size);
  for (let rank = 0, sum = 0; rank < size; rank++) {
    sum += 1 / (rank + 1);
    sums[rank] = sum;
  }
  return () => {
    const wanted = random() * sums[size - 1]!;
    let low = 0;
    for (let high = size - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Words by Zipf's law. */
export function zipf(seed: number): () => string {
  const rank = zipfRanks(uniform(seed));
  return () => vocabulary[rank()]!;
}
