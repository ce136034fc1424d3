// public: cluster
import { number, operator } from "@tessera/core";
import { z } from "zod";
import { distance, kmeans } from "./kmeans.js";
import { type Cluster, type CodeModule, codeCluster, codeModules } from "./problem.js";

const plain = (code: string): string => code.replace(/\s+/g, " ").trim();

/** The clusters of modules, the largest first; each is represented by the real module nearest to its centre. */
export function clustersOf(
  modules: readonly CodeModule[],
  vectors: readonly (readonly number[])[],
  k: number,
  seed: number,
): Cluster[] {
  if (modules.length === 0) return [];
  const { labels, centres } = kmeans(vectors, k, { seed });
  const clusters = centres.flatMap((centre, label): Cluster[] => {
    const members = modules.map((module, index) => ({ module, index })).filter(({ index }) => labels[index] === label);
    if (members.length === 0) return [];
    const nearest = members.reduce((best, next) =>
      distance(vectors[next.index]!, centre) < distance(vectors[best.index]!, centre) ? next : best,
    );
    return [
      {
        representative: nearest.module,
        size: members.length,
        samples: [...new Set(members.map(({ module }) => module.sample))],
      },
    ];
  });
  return clusters.sort((a, b) => b.size - a.size);
}

/** The representatives of clusters; those of equal text once. */
export const representativesOf = (clusters: readonly Cluster[]): CodeModule[] =>
  distinct(clusters.map(({ representative }) => representative));

/** Modules without those whose text came before, white space apart. */
export function distinct(modules: readonly CodeModule[]): CodeModule[] {
  const seen = new Set<string>();
  return modules.filter(({ code }) => !seen.has(plain(code)) && seen.add(plain(code)));
}

/**
 * Groups modules by k-means and takes the real one nearest to each centre. In turn t, K = max(1, clusters − (t − 1)): with
 * the default 5, 4, 3, 2, 1 over five revisions, which was the best of the schedules tried (explore, then exploit).
 * Representatives of equal text are given once.
 */
export const cluster = operator({
  name: "coder.cluster",
  version: 1,
  about: {
    module: "code",
    submodule: "clustering",
    paper: "CodeChain, section 3.2; k-means++ (Arthur and Vassilvitskii 2007)",
    summary: "Groups modules and takes the one nearest to each centre.",
  },
  config: z.strictObject({
    clusters: z.int().positive().default(5),
    schedule: z.enum(["decreasing", "fixed"]).default("decreasing"),
    seed: z.int().default(0),
  }),
  ports: {
    input: { modules: codeModules, vectors: z.array(z.array(number)), turn: number.optional() },
    output: { representatives: codeModules, clusters: z.array(codeCluster) },
  },
  effects: "none",
  setup:
    ({ clusters: most, schedule, seed }) =>
    ({ modules, vectors, turn = 1 }) => {
      const k = schedule === "fixed" ? most : Math.max(1, most - (turn - 1));
      const clusters = clustersOf(modules, vectors, k, seed);
      return { representatives: representativesOf(clusters), clusters };
    },
});
