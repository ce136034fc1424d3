import { mulberry32 } from "@tessera/core/internal";

/** The squared Euclidean distance. */
export function distance(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

interface Partition {
  /** The cluster of each point. */
  readonly labels: number[];
  /** The mean of each cluster. */
  readonly centres: number[][];
  /** The sum of squared distances to the nearest centre: what k-means makes small. */
  readonly inertia: number;
}

const mostTurns = 300;

/**
 * k-means: k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd's iterations until no point changes its cluster;
 * the best of `restarts` by inertia. Equal seeds give equal partitions. No cluster is empty where k points differ.
 * @param points of equal width; at least one.
 */
export function kmeans(
  points: readonly (readonly number[])[],
  k: number,
  { seed = 0, restarts = 10 }: { seed?: number; restarts?: number } = {},
): Partition {
  const random = mulberry32(seed);
  let best: Partition | undefined;
  for (let n = 0; n < restarts; n++) {
    const next = lloyd(points, plusPlus(points, Math.min(k, points.length), random));
    if (!best || next.inertia < best.inertia) best = next;
  }
  return best!;
}

function plusPlus(points: readonly (readonly number[])[], k: number, random: () => number): number[][] {
  const centres = [[...points[Math.floor(random() * points.length)]!]];
  const nearest = points.map((point) => distance(point, centres[0]!));
  while (centres.length < k) {
    const total = nearest.reduce((sum, value) => sum + value, 0);
    if (total === 0) break; // fewer different points than clusters
    let rest = random() * total;
    let chosen = nearest.findLastIndex((value) => value > 0);
    for (const [index, value] of nearest.entries()) {
      rest -= value;
      if (rest < 0) {
        chosen = index;
        break;
      }
    }
    const centre = [...points[chosen]!];
    centres.push(centre);
    for (const [index, point] of points.entries()) nearest[index] = Math.min(nearest[index]!, distance(point, centre));
  }
  return centres;
}

function lloyd(points: readonly (readonly number[])[], centres: number[][]): Partition {
  let labels: number[] = [];
  for (let turn = 0; turn < mostTurns; turn++) {
    const next = points.map((point) => closest(point, centres));
    if (turn > 0 && next.every((label, index) => label === labels[index])) break;
    labels = next;
    for (const [label, centre] of centres.entries()) {
      const members = points.filter((_, index) => labels[index] === label);
      if (members.length > 0)
        centres[label] = centre.map((_, i) => members.reduce((sum, member) => sum + member[i]!, 0) / members.length);
    }
  }
  const inertia = points.reduce((sum, point, index) => sum + distance(point, centres[labels[index]!]!), 0);
  return { labels, centres, inertia };
}

function closest(point: readonly number[], centres: readonly (readonly number[])[]): number {
  let best = 0;
  for (let label = 1; label < centres.length; label++)
    if (distance(point, centres[label]!) < distance(point, centres[best]!)) best = label;
  return best;
}
