// internal: randomOf
/**
 * A generator of uniform numbers in [0, 1) for one place of one run (sfc32, Chris Doty-Humphrey's PractRand),
 * seeded by the run's seed and the path, so that a step draws the same numbers whatever runs beside it.
 */
export function randomOf(seed: number, path: string): () => number {
  // FNV-1a over the path
  let hash = 2166136261;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 16777619);
  let a = hash | 0;
  let b = seed | 0;
  let c = Math.trunc(seed / 4294967296) | 0;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}
