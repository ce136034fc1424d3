/**
 * Measures systems in interleaved rounds: each once a round, beginning with another one each time, so that a change of
 * the machine's load meets all of them. Gives what each returned, round by round.
 */
export async function interleave<T>(
  systems: Readonly<Record<string, () => T | Promise<T>>>,
  rounds: number,
): Promise<Record<string, T[]>> {
  const names = Object.keys(systems);
  const results: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length]!;
      results[name]!.push(await systems[name]!());
    }
  }
  return results;
}

/** The sample below which a share of the samples lies: 0.5 is the median. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/**
 * The interval that holds the median of what the samples are drawn from, in 95 of 100 cases: by the ranks of a binomial
 * distribution, whatever the samples' own is.
 */
export function medianInterval(samples: readonly number[]): [from: number, to: number] {
  const sorted = [...samples].sort((a, b) => a - b);
  const reach = 1.96 * Math.sqrt(sorted.length) * 0.5;
  const at = (rank: number) => sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN;
  return [at(Math.floor(sorted.length / 2 - reach)), at(Math.ceil(sorted.length / 2 + reach))];
}

/** Milliseconds that a call takes. */
export async function milliseconds(call: () => unknown): Promise<number> {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

/** Milliseconds of processor time that a call takes in this process: other load on the machine does not count. */
export async function processorMilliseconds(call: () => unknown): Promise<number> {
  const start = process.cpuUsage();
  await call();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}
