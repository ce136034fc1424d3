import type { Filter, Passage } from "@tessera/core";
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

type BareIndex = InstanceType<typeof import("hnswlib-node")["HierarchicalNSW"]>;

/** The stores under measurement, filled with the same vectors. */
interface Filled {
  readonly exact: ExactStore;
  readonly hnsw: HnswStore;
  readonly bare: BareIndex | undefined;
}

const ids = (hits: { passage: Passage }[]) => hits.map(({ passage }) => passage.id);

/** The hnsw store beside bare hnswlib-node with the same settings, and its recall against the exact store. */
export default async function dense(report: Report): Promise<void> {
  const next = vectors();
  const rows = Array.from({ length: count }, next);
  const asked = Array.from({ length: queries }, next);
  const stores = await fill(report, rows);
  if (!stores) return;
  await measureQueries(report, stores, asked);
  await measureFilters(report, stores, asked);
}

const indexing = async (report: Report, name: string, work: () => unknown): Promise<void> =>
  report.add(name, "index, processor time", (await processorMilliseconds(work)) / 1000, "s");

/** Indexes the vectors in one system after the other; undefined without the hnsw store. */
async function fill(report: Report, rows: readonly Float32Array[]): Promise<Filled | undefined> {
  const passages = rows.map(
    (_, i): Passage => ({ id: `p${i}`, text: "", metadata: { tenth: i % 10, hundredth: i % 100 } }),
  );
  const space = { space: "bench", width };
  const exact = new ExactStore(space);
  await indexing(report, "exact", () => exact.upsert(passages, rows));
  let hnsw: HnswStore;
  try {
    hnsw = await HnswStore.open(space);
  } catch (error) {
    report.miss("hnsw", (error as Error).message);
    return undefined;
  }
  report.say(`${count} vectors of ${width} components, indexed by one system after the other …`);
  await indexing(report, "hnsw", () => hnsw.upsert(passages, rows));
  return { exact, hnsw, bare: await fillBare(report, rows) };
}

async function fillBare(report: Report, rows: readonly Float32Array[]): Promise<BareIndex | undefined> {
  try {
    const { HierarchicalNSW } = await bareLibrary();
    const index = new HierarchicalNSW("ip", width);
    const numbers = rows.map((row) => Array.from(row));
    index.initIndex({ maxElements: count, m: 16, efConstruction: 200, randomSeed: 100 });
    await indexing(report, "hnswlib-node", () => numbers.forEach((point, label) => void index.addPoint(point, label)));
    index.setEf(ef);
    return index;
  } catch (error) {
    report.miss("hnswlib-node", (error as Error).message);
    return undefined;
  }
}

/** Times of queries in interleaved rounds, and the recall of what they found. */
async function measureQueries(report: Report, { exact, hnsw, bare }: Filled, asked: readonly Float32Array[]) {
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
  const truth = found.get("exact")!;
  for (const name of Object.keys(times)) {
    const same = found.get(name)!.map((answer, query) => answer.filter((id) => truth[query]!.includes(id)).length);
    report.add(name, `recall@${top}`, same.reduce((sum, one) => sum + one, 0) / (queries * top), "share");
  }
  if (!times["hnswlib-node"]) return;
  // the least time of each query over the rounds: other load can only add to it
  const least = (name: string) =>
    asked.reduce((sum, _, query) => sum + Math.min(...times[name]!.map((samples) => samples[query]!)), 0);
  report.add("hnsw", "overhead over hnswlib-node", 100 * (least("hnsw") / least("hnswlib-node") - 1), "%");
}

/** Recall and times where a filter admits a share of the passages. */
async function measureFilters(report: Report, { exact, hnsw }: Filled, asked: readonly Float32Array[]) {
  const filters: [string, Filter][] = [
    ["90 %", { not: { field: "tenth", equals: 3 } }],
    ["20 %", { field: "tenth", in: [3, 4] }],
    ["1 %", { field: "hundredth", equals: 3 }],
  ];
  for (const [share, filter] of filters) {
    const samples: number[] = [];
    let same = 0;
    for (const vector of asked) {
      const expected = ids(await exact.search({ vector, top, filter }));
      let answer: string[] = [];
      samples.push(await milliseconds(async () => (answer = ids(await hnsw.search({ vector, top, filter })))));
      same += answer.filter((id) => expected.includes(id)).length;
    }
    report.add("hnsw", `recall@${top}, ${share} admitted`, same / (queries * top), "share");
    report.add("hnsw", `query p50, ${share} admitted`, percentile(samples, 0.5), "ms");
  }
}
