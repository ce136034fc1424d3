import type { Passage } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { ExactStore, HnswStore } from "@tessera/stores";
import type { Report } from "./measure/report.js";
import { interleave, milliseconds, percentile, processorMilliseconds } from "./measure/rounds.js";

const count = 30_000;
const width = 256;
const latent = 24;
const noise = 0.05; // of each component, beside a latent part of about 1
const queries = 200;
const rounds = 10;
const top = 10;
const ef = 128; // as the store's default

async function bareLibrary(): Promise<typeof import("hnswlib-node")> {
  const module = await import("hnswlib-node");
  return module.default ?? module;
}

/** Unit vectors with structure: normal points of 24 dimensions, turned into 256, with a little noise in each. */
function vectors(): () => Float32Array {
  const random = uniform(3);
  const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  const axes = Array.from({ length: latent }, () =>
    Float64Array.from({ length: width }, () => normal() / Math.sqrt(latent)),
  );
  return () => {
    const at = axes.map(normal);
    const vector = Float32Array.from({ length: width }, (_, i) => {
      let component = noise * normal();
      for (let n = 0; n < latent; n++) component += at[n]! * axes[n]![i]!;
      return component;
    });
    const length = Math.hypot(...vector);
    return vector.map((component) => component / length);
  };
}

/** The hnsw store beside bare hnswlib-node with the same settings, and its recall against the exact store. */
export default async function dense(report: Report): Promise<void> {
  const next = vectors();
  const rows = Array.from({ length: count }, next);
  const asked = Array.from({ length: queries }, next);
  const passages = rows.map(
    (_, i): Passage => ({ id: `p${i}`, text: "", metadata: { tenth: i % 10, hundredth: i % 100 } }),
  );
  const space = { space: "bench", width };

  const exact = new ExactStore(space);
  report.add(
    "exact",
    "index, processor time",
    (await processorMilliseconds(() => exact.upsert(passages, rows))) / 1000,
    "s",
  );
  let hnsw: HnswStore;
  try {
    hnsw = await HnswStore.open(space);
  } catch (error) {
    report.miss("hnsw", (error as Error).message);
    return;
  }
  report.say(`${count} vectors of ${width} components, indexed by one system after the other …`);
  report.add(
    "hnsw",
    "index, processor time",
    (await processorMilliseconds(() => hnsw.upsert(passages, rows))) / 1000,
    "s",
  );

  let bare: InstanceType<typeof import("hnswlib-node")["HierarchicalNSW"]> | undefined;
  try {
    const { HierarchicalNSW } = await bareLibrary();
    const index = new HierarchicalNSW("ip", width);
    const numbers = rows.map((row) => Array.from(row));
    index.initIndex({ maxElements: count, m: 16, efConstruction: 200, randomSeed: 100 });
    const build = () => numbers.forEach((point, label) => void index.addPoint(point, label));
    report.add("hnswlib-node", "index, processor time", (await processorMilliseconds(build)) / 1000, "s");
    index.setEf(ef);
    bare = index;
  } catch (error) {
    report.miss("hnswlib-node", (error as Error).message);
  }

  report.say(`${rounds} interleaved rounds of ${queries} queries …`);
  const points = asked.map((vector) => Array.from(vector));
  const found = new Map<string, string[][]>();
  const round = (name: string, search: (query: number) => Promise<string[]> | string[]) => async () => {
    const times: number[] = [];
    const answers: string[][] = [];
    for (let query = 0; query < queries; query++) {
      const start = performance.now();
      const answer = search(query);
      answers.push(answer instanceof Promise ? await answer : answer);
      times.push(performance.now() - start);
    }
    found.set(name, answers);
    return times;
  };
  const ids = (hits: { passage: Passage }[]) => hits.map(({ passage }) => passage.id);
  const times = await interleave(
    {
      hnsw: round("hnsw", async (query) => ids(await hnsw.search({ vector: asked[query]!, top }))),
      ...(bare && {
        "hnswlib-node": round("hnswlib-node", (query) =>
          bare.searchKnn(points[query]!, top).neighbors.map((label) => `p${label}`),
        ),
      }),
    },
    rounds,
  );
  times.exact = [await round("exact", async (query) => ids(await exact.search({ vector: asked[query]!, top })))()];
  for (const [name, samples] of Object.entries(times)) {
    report.add(name, "query p50", percentile(samples.flat(), 0.5), "ms");
    report.add(name, "query p95", percentile(samples.flat(), 0.95), "ms");
  }
  const recall = (name: string) =>
    found
      .get(name)!
      .reduce((sum, answer, query) => sum + answer.filter((id) => found.get("exact")![query]!.includes(id)).length, 0) /
    (queries * top);
  for (const name of Object.keys(times)) report.add(name, `recall@${top}`, recall(name), "share");
  if (times["hnswlib-node"]) {
    // the least time of each query over the rounds: other load can only add to it
    const least = (name: string) =>
      asked.reduce((sum, _, query) => sum + Math.min(...times[name]!.map((samples) => samples[query]!)), 0);
    report.add("hnsw", "overhead over hnswlib-node", 100 * (least("hnsw") / least("hnswlib-node") - 1), "%");
  }

  for (const [share, filter] of [
    ["90 %", { not: { field: "tenth", equals: 3 } }],
    ["20 %", { field: "tenth", in: [3, 4] }],
    ["1 %", { field: "hundredth", equals: 3 }],
  ] as const) {
    const samples: number[] = [];
    let same = 0;
    for (const vector of asked) {
      const expected = ids(await exact.search({ vector, top, filter: filter as never }));
      let answer: string[] = [];
      samples.push(
        await milliseconds(async () => (answer = ids(await hnsw.search({ vector, top, filter: filter as never })))),
      );
      same += answer.filter((id) => expected.includes(id)).length;
    }
    report.add("hnsw", `recall@${top}, ${share} admitted`, same / (queries * top), "share");
    report.add("hnsw", `query p50, ${share} admitted`, percentile(samples, 0.5), "ms");
  }
}
