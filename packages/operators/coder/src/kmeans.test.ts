import { describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import fc from "fast-check";
import { distance, kmeans } from "./kmeans.js";

/** The least inertia of any partition into k groups, by trying them all. */
function optimum(points: number[][], k: number): number {
  let best = Number.POSITIVE_INFINITY;
  const labels = points.map(() => 0);
  const visit = (index: number): void => {
    if (index === points.length) {
      let inertia = 0;
      for (let label = 0; label < k; label++) {
        const members = points.filter((_, i) => labels[i] === label);
        if (members.length === 0) continue;
        const mean = members[0]!.map((_, i) => members.reduce((sum, member) => sum + member[i]!, 0) / members.length);
        inertia += members.reduce((sum, member) => sum + distance(member, mean), 0);
      }
      best = Math.min(best, inertia);
      return;
    }
    for (let label = 0; label < Math.min(k, index + 1); label++) {
      labels[index] = label;
      visit(index + 1);
    }
  };
  visit(0);
  return best;
}

const cloud = fc.array(fc.tuple(fc.integer({ min: -20, max: 20 }), fc.integer({ min: -20, max: 20 })), {
  minLength: 1,
  maxLength: 7,
});

describe("k-means", () => {
  it("never beats the best partition, and finds it nearly always", () => {
    let found = 0;
    let tried = 0;
    fc.assert(
      fc.property(cloud, fc.integer({ min: 1, max: 3 }), (points, k) => {
        const best = optimum(points, k);
        const { inertia } = kmeans(points, k);
        expect(inertia).toBeGreaterThanOrEqual(best - 1e-6);
        tried += 1;
        if (inertia <= best + 1e-6) found += 1;
      }),
      { numRuns: 150, seed: 7 },
    );
    expect(found / tried).toBeGreaterThan(0.95);
  });

  it("assigns every point to its nearest centre, each centre the mean of its points", () => {
    fc.assert(
      fc.property(cloud, fc.integer({ min: 1, max: 5 }), (points, k) => {
        const { labels, centres } = kmeans(points, k);
        for (const [index, point] of points.entries()) {
          const own = distance(point, centres[labels[index]!]!);
          for (const centre of centres) expect(own).toBeLessThanOrEqual(distance(point, centre) + 1e-9);
        }
        for (const [label, centre] of centres.entries()) {
          const members = points.filter((_, index) => labels[index] === label);
          if (members.length > 0)
            expect(centre[0]).toBeCloseTo(members.reduce((sum, [x]) => sum + x, 0) / members.length, 9);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("recovers groups that are far apart, and gives the same partition for the same seed", () => {
    const random = mulberry32(5);
    const points = Array.from({ length: 60 }, (_, i) => [(i % 4) * 100 + random(), (i % 4) * -50 + random()]);
    const { labels } = kmeans(points, 4);
    for (const [index, label] of labels.entries()) expect(label).toBe(labels[index % 4]);
    expect(new Set(labels).size).toBe(4);
    expect(kmeans(points, 3, { seed: 9 })).toEqual(kmeans(points, 3, { seed: 9 }));
  });

  it("has no more clusters than different points", () => {
    expect(kmeans([[1], [1], [1]], 3).centres).toEqual([[1]]);
    expect(kmeans([[1], [2]], 5).inertia).toBe(0);
  });
});
