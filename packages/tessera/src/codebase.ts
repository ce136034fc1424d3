// public: CodebaseSettings, OpenedCodebase, updateCodebase
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Encoder, TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { Codebase, type Participant, type Progress, type Readers, type Report } from "@tessera/indexer";
import { embed, storeFolder, storeParticipant } from "@tessera/indexer/internal";
import { type CodeEncoder, type Engine, HashEncoder } from "@tessera/models";
import { openVectors, type Vectors } from "@tessera/models/internal";
import { Bm25Store, loadVectorStore, openVectorStore } from "@tessera/stores";
import { wordsRevision } from "@tessera/text";
import { KeptVectors } from "./kept-vectors.js";
import type { Resources } from "./resources.js";

/** How a folder is indexed. */
export interface CodebaseSettings {
  /** The folder to index. */
  readonly root: string;
  /** Where the index is kept. */
  readonly folder: string;
  /**
   * The encoder of the vectors: "hash" (the default), the name or folder of a model, or "hash+<model>" for both in one
   * vector; "<model>@<layer>" is an index of that exit. If it changes, all vectors are computed again. With "none" there are
   * no vectors, as for flows that search words alone: no store "dense" and no encoder. An encoder of your own, such as that
   * of a service, stays yours. Vectors of one whose calls are `paid` are kept as they come, so that an update that broke
   * off goes on where it was; and an index of such vectors is not made anew by another encoder, unless `rebuild` is set.
   */
  readonly encoder?: string | Encoder | undefined;
  /** Computes the model; by default on the CPU. The caller closes it, after the codebase. */
  readonly engine?: Engine | undefined;
  /** The readers of files, with some of your own; the built-in ones by default. They stay the caller's. */
  readonly readers?: Readers | undefined;
  /** Whether the whole index is written again, even if nothing changed. */
  readonly rebuild?: boolean | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An open index of a folder, with the resources that flows need to search it. */
export interface OpenedCodebase {
  readonly codebase: Codebase;
  /** What the update changed; undefined if the index was only opened. */
  readonly report: Report | undefined;
  /** Which vector store is used on this machine, and why, in one line. */
  readonly vectors: {
    readonly kind: "hnsw" | "exact" | "none";
    readonly reason: string;
    /** Whether another kind was wanted and could not be opened here. */
    readonly isFallback: boolean;
  };
  /** The stores "sparse" and "dense", and the encoder "encoder", as flows name them. */
  readonly resources: Resources;
  /** The model of the vectors, with its exits and widths; undefined if the vectors are hash features alone. */
  readonly model: CodeEncoder | undefined;
  /** Stops the threads of a model, if there is one. */
  close(): Promise<void>;
}

const sparse = storeParticipant({
  name: "sparse",
  revision: wordsRevision,
  create: () => new Bm25Store(),
  load: (folder, passages) => Bm25Store.load(folder, { passages }),
});

/** Up to so many passages a search compares every vector, in some 20 ms, and the index needs no graph. */
const exactUpTo = 50_000;

const encoderFolder = (participant: string): string => join(participant, "encoder");

/** The vector store of a model. */
const denseBy = (encoder: Encoder, width: number): Participant =>
  storeParticipant({
    name: "dense",
    create: async (expected) =>
      (await openVectorStore({ space: encoder.space({}), width }, { exactUpTo, expected })).store,
    load: async (saved, passages) => (await loadVectorStore(saved, { exactUpTo, passages })).store,
    encoder,
  });

/** The vector store and the hash encoder that made it: fitted to the first passages, and kept until the index is rebuilt. */
const denseByHash = (vectors: Vectors): Participant => ({
  name: "dense",
  revision: [
    wordsRevision,
    "hash:2",
    ...(vectors.model ? [vectors.encoderOver(undefined, "code").space({})] : []),
  ].join(" "),
  async write(generation) {
    const { added, folder } = generation;
    // where all passages are new, as in an index that was empty, the encoder is fitted anew
    const previous = generation.passages().length === added.length ? undefined : generation.previous;
    const hash = previous === undefined ? new HashEncoder() : await HashEncoder.load(encoderFolder(previous));
    if (previous === undefined) hash.fit(added.map(({ title = "", text }) => `${title}\n${text}`));
    const encoder = vectors.encoderOver(hash, "code");
    await storeParticipant({
      name: "dense",
      create: async (expected) =>
        (await openVectorStore({ space: encoder.space({}), width: vectors.widthOver(hash) }, { exactUpTo, expected }))
          .store,
      load: async (saved, passages) => (await loadVectorStore(saved, { exactUpTo, passages })).store,
      encoder,
      batch: 256,
    }).write({ ...generation, previous });
    await hash.save(encoderFolder(folder));
  },
});

const vectorsFile = (folder: string, revision: string): string =>
  join(folder, `vectors-${sha256(revision).slice(0, 16)}.kept`);

/** Texts of one request to an encoder of the caller's own. */
const textsAtOnce = 64;

const givenRevision = (encoder: Encoder): string =>
  [encoder.paid ? "paid" : "given", encoder.revision, encoder.space({})].join(" ");

/** The vector store of an encoder of the caller's own, whose width shows with the first vector. */
const denseByGiven = (encoder: Encoder, indexFolder: string): Participant => {
  const revision = givenRevision(encoder);
  return {
    name: "dense",
    revision,
    async write(generation) {
      const kept = await KeptVectors.open(vectorsFile(indexFolder, revision));
      const over = kept.over(encoder, textsAtOnce);
      const [first] = generation.added;
      // a store without passages knows no width, and is made anew
      const previous = generation.passages().length === generation.added.length ? undefined : generation.previous;
      const width = async () =>
        first === undefined ? 1 : (await embed(over, [first], { batch: 1, signal: generation.signal }))[0]!.length;
      try {
        await storeParticipant({
          name: "dense",
          create: async (expected) =>
            (await openVectorStore({ space: encoder.space({}), width: await width() }, { exactUpTo, expected })).store,
          load: async (saved, passages) => (await loadVectorStore(saved, { exactUpTo, passages })).store,
          encoder: over,
          batch: textsAtOnce,
        }).write({ ...generation, previous });
      } finally {
        await kept.close();
      }
    },
  };
};

/** @throws TesseraError CONFLICT where an index has or would get vectors that cost money, by another encoder than before */
async function assertSameEncoder(folder: string, encoder: string | Encoder = "hash"): Promise<void> {
  const before = await Codebase.participants(folder);
  const old = before.find(({ name }) => name === "dense")?.revision;
  if (old === undefined) return;
  const revision = typeof encoder === "string" ? undefined : givenRevision(encoder);
  const name = typeof encoder === "string" ? encoder : encoder.space({});
  if (revision === old || (!old.startsWith("paid ") && !(typeof encoder !== "string" && encoder.paid))) return;
  const maker = /^(?:paid|given) /.test(old) ? `"${old.replace(/^\w+ /, "")}"` : "another encoder";
  throw new TesseraError(
    "CONFLICT",
    `the index was made with ${maker}, and "${name}" would make all its vectors anew`,
    {
      path: folder,
      hint: "name the encoder that it was made with, take another folder for the index, or set `rebuild` (--rebuild)",
    },
  );
}

function denseOf(made: Vectors | Encoder | undefined, folder: string): Participant[] {
  if (made === undefined) return [];
  if (!isVectors(made)) return [denseByGiven(made, folder)];
  return [made.usesHash ? denseByHash(made) : denseBy(made.encoderOver(undefined, "code"), made.widthOver(undefined))];
}

const isVectors = (made: Vectors | Encoder): made is Vectors => "encoderOver" in made;

async function openMakers(given?: string | Encoder, engine?: Engine): Promise<Vectors | Encoder | undefined> {
  if (given === "none") return undefined;
  return typeof given === "object" ? given : openVectors(given, engine);
}

/** What was opened is closed; an encoder of the caller's own stays open. */
const closeMakers = async (made: Vectors | Encoder | undefined): Promise<void> => {
  if (made && isVectors(made)) await made.close();
};

/**
 * Updates the index of a folder of code and documents, and opens it.
 * @throws TesseraError BAD_SOURCE, INDEX_LOCKED, INDEX_CORRUPT, STORE_FAILED, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function updateCodebase(settings: CodebaseSettings): Promise<OpenedCodebase> {
  if (!settings.rebuild) await assertSameEncoder(settings.folder, settings.encoder);
  const vectors = await openMakers(settings.encoder, settings.engine);
  try {
    const { codebase, report } = await Codebase.update(settings.folder, {
      root: settings.root,
      participants: [sparse, ...denseOf(vectors, settings.folder)],
      readers: settings.readers,
      rebuild: settings.rebuild,
      progress: settings.progress,
      signal: settings.signal,
    });
    // the index holds them now
    if (vectors && !isVectors(vectors)) await rm(vectorsFile(settings.folder, givenRevision(vectors)), { force: true });
    return await openStores(codebase, report, vectors);
  } catch (error) {
    await closeMakers(vectors);
    throw error;
  }
}

/**
 * Opens an index as it is; `encoder` is the one that it was made with, `engine` computes it as in `CodebaseSettings`.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function openCodebase(
  folder: string,
  encoder?: string | Encoder,
  engine?: Engine,
): Promise<OpenedCodebase> {
  return openStores(await Codebase.open(folder), undefined, await openMakers(encoder, engine));
}

async function openStores(
  codebase: Codebase,
  report: Report | undefined,
  made: Vectors | Encoder | undefined,
): Promise<OpenedCodebase> {
  const passages = await codebase.passages();
  if (made === undefined)
    return {
      codebase,
      report,
      vectors: { kind: "none", reason: "there are no vectors", isFallback: false },
      resources: { store: { sparse: await Bm25Store.load(storeFolder(codebase.folderOf("sparse")), { passages }) } },
      model: undefined,
      close: async () => {},
    };
  const dense = codebase.folderOf("dense");
  const [words, vectors, encoder] = await Promise.all([
    Bm25Store.load(storeFolder(codebase.folderOf("sparse")), { passages }),
    loadVectorStore(storeFolder(dense), { exactUpTo, passages }),
    encoderOf(made, dense),
  ]);
  return {
    codebase,
    report,
    vectors: { kind: vectors.kind, reason: vectors.reason, isFallback: vectors.isFallback },
    resources: { store: { sparse: words, dense: vectors.store }, encoder: { encoder } },
    model: isVectors(made) ? made.model : undefined,
    close: () => closeMakers(made),
  };
}

/** The encoder of queries. */
async function encoderOf(made: Vectors | Encoder, dense: string): Promise<Encoder> {
  if (!isVectors(made)) return unclosed(made);
  return made.encoderOver(made.usesHash ? await HashEncoder.load(encoderFolder(dense)) : undefined, "code");
}

/** An encoder that is the caller's: who closes the resources of a flow leaves it open. */
const unclosed = (encoder: Encoder): Encoder => ({
  revision: encoder.revision,
  ...(encoder.words !== undefined && { words: encoder.words }),
  ...(encoder.closer && { closer: encoder.closer }),
  ...(encoder.searches && { searches: (query) => encoder.searches!(query) }),
  ...(encoder.check && { check: (signal) => encoder.check!(signal) }),
  space: (embedding) => encoder.space(embedding),
  encode: (texts, how, signal) => encoder.encode(texts, how, signal),
});
