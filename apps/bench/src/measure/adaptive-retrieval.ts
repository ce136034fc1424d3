import type { Context, Encoder, Hit, Host, Passage } from "@tessera/core";
import type { CodeEncoder } from "@tessera/models";
import { indexEncoder } from "@tessera/models/internal";
import { closer } from "@tessera/reranker";
import { ExactStore } from "@tessera/stores";
import { processorMilliseconds } from "./rounds.js";

/** Questions with one gold passage each. */
export interface AdaptiveSet {
  readonly kind: "code" | "text";
  readonly passages: readonly string[];
  readonly questions: readonly { readonly text: string; readonly gold: number }[];
}

/** What an index at one exit, asked by another, reaches, where the first `depth` hits are looked at again by the last exit. */
export interface Reached {
  readonly index: number;
  readonly query: number;
  /** Hits that are looked at again; 0: none. */
  readonly depth: number;
  /** Of each question, the reciprocal rank of its gold passage among the first hundred; 0 where it is not there. */
  readonly reciprocals: readonly number[];
  /** Processor time in milliseconds: of a passage in the index, and of a question whose hits have no deep vectors yet. */
  readonly indexing: number;
  readonly asking: number;
}

/** The vectors of one exit, and the processor time of one text in milliseconds. */
interface Exit {
  readonly passages: readonly Float32Array[];
  readonly queries: readonly Float32Array[];
  readonly passageTime: number;
  readonly queryTime: number;
}

const shown = 100;
const slice = 64;

/**
 * Every index exit, query exit and depth of the closer look on one set, through the operators of the product. Each text is
 * encoded once at each exit; the look then finds its deep vectors again.
 */
export async function measureAdaptive(
  encoder: CodeEncoder,
  set: AdaptiveSet,
  depths: readonly number[],
  progress: (line: string) => void = () => {},
): Promise<Reached[]> {
  const layers = encoder.model.exits.map(({ layer }) => layer);
  const exits = new Map<number, Exit>();
  for (const layer of layers) {
    progress(`exit ${layer} reads ${set.passages.length} passages`);
    exits.set(layer, await readAll(encoder, set, layer));
  }
  const last = layers.at(-1)!;
  const found: Reached[] = [];
  for (const index of layers) {
    const store = await storeOf(set, exits.get(index)!.passages);
    const kept = indexEncoder(encoder, set.kind, index).closer?.kept;
    const looks = kept === undefined ? [0] : depths;
    for (const query of layers) {
      const hits: Hit[][] = [];
      for (const vector of exits.get(query)!.queries) hits.push(await store.search({ vector, top: shown }));
      for (const depth of looks) {
        const looked = depth === 0 ? hits : await lookAgain(set, hits, exits.get(last)!, { depth, kept: kept! });
        const more =
          depth === 0 ? 0 : depth * exits.get(last)!.passageTime + (query === last ? 0 : exits.get(last)!.queryTime);
        found.push({
          ...{
            index,
            query,
            depth,
            indexing: exits.get(index)!.passageTime,
            asking: exits.get(query)!.queryTime + more,
          },
          reciprocals: looked.map((list, i) => reciprocal(list, set.questions[i]!.gold)),
        });
      }
    }
  }
  return found;
}

const reciprocal = (hits: readonly Hit[], gold: number): number => {
  const place = hits.findIndex(({ passage }) => passage.id === String(gold));
  return place < 0 ? 0 : 1 / (place + 1);
};

async function readAll(encoder: CodeEncoder, { kind, passages, questions }: AdaptiveSet, exit: number): Promise<Exit> {
  const read = async (texts: readonly string[], as: "query" | "code" | "text") => {
    const vectors: Float32Array[] = [];
    const time = await processorMilliseconds(async () => {
      for (let from = 0; from < texts.length; from += slice)
        vectors.push(...(await encoder.encode(texts.slice(from, from + slice), { kind: as, exit })));
    });
    return { vectors, time: time / texts.length };
  };
  await encoder.encode([passages[0]!], { kind, exit });
  const deep = await read(passages, kind);
  const asked = await read(
    questions.map(({ text }) => text),
    "query",
  );
  return { passages: deep.vectors, queries: asked.vectors, passageTime: deep.time, queryTime: asked.time };
}

/** The passages of a set, each named by its place. */
export const passagesOf = ({ passages }: AdaptiveSet): Passage[] =>
  passages.map((text, place) => ({ id: String(place), text, metadata: {} }));

export async function storeOf(
  set: AdaptiveSet,
  vectors: readonly Float32Array[],
  space = "adaptive",
): Promise<ExactStore> {
  const store = new ExactStore({ space, width: vectors[0]!.length });
  await store.upsert(passagesOf(set), [...vectors]);
  return store;
}

/** A host of named resources, for operators that are run one by one. */
export const hostOf = (resources: Readonly<Record<string, unknown>>): Host => ({
  resource: async (kind, name) => resources[`${kind}/${name}`] as never,
});

/** A context of operators outside a flow. */
export const context: Context = {
  ...{ path: "bench", signal: new AbortController().signal },
  ...{ random: () => 0.5, emit: () => {}, spend: () => {} },
};

/** `reranker.closer` over vectors that are known, without its budget of time. */
async function lookAgain(
  { passages, questions }: AdaptiveSet,
  hits: readonly Hit[][],
  deep: Exit,
  { depth, kept }: { readonly depth: number; readonly kept: number },
): Promise<Hit[][]> {
  const asked = new Map(questions.map(({ text }, place) => [text, deep.queries[place]!]));
  const known = new Map(passages.map((text, place) => [text, deep.passages[place]!]));
  const encoder: Encoder = {
    ...{ revision: "1", closer: { kept }, space: () => "adaptive" },
    encode: async (texts, { kind }) => texts.map((text) => (kind === "query" ? asked : known).get(text)!),
  };
  const settings = closer.config.parse({ encoder: "known", depth, budget: Number.MAX_SAFE_INTEGER });
  const look = await closer.setup(settings, hostOf({ "encoder/known": encoder }));
  const looked: Hit[][] = [];
  for (const [place, list] of hits.entries())
    looked.push((await look({ query: questions[place]!.text, hits: list }, context)).hits);
  return looked;
}
