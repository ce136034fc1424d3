// public: CodebaseSettings, OpenedCodebase, updateCodebase
import { join } from "node:path";
import type { Encoder } from "@tessera/core";
import { Codebase, type Participant, type Progress, type Readers, type Report } from "@tessera/indexer";
import { storeFolder, storeParticipant } from "@tessera/indexer/internal";
import { type CodeEncoder, type Engine, HashEncoder } from "@tessera/models";
import { openVectors, type Vectors } from "@tessera/models/internal";
import { Bm25Store, loadVectorStore, openVectorStore } from "@tessera/stores";
import { wordsRevision } from "@tessera/text";
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
   * no vectors, as for flows that search words alone: no store "dense" and no encoder.
   */
  readonly encoder?: string | undefined;
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
  readonly vectors: { readonly kind: "hnsw" | "exact" | "none"; readonly reason: string };
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
  load: Bm25Store.load,
});

const encoderFolder = (participant: string): string => join(participant, "encoder");

/** The vector store of a model. */
const denseBy = (encoder: Encoder, width: number): Participant =>
  storeParticipant({
    name: "dense",
    create: async () => (await openVectorStore({ space: encoder.space({}), width })).store,
    load: async (saved) => (await loadVectorStore(saved)).store,
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
      create: async () => (await openVectorStore({ space: encoder.space({}), width: vectors.widthOver(hash) })).store,
      load: async (saved) => (await loadVectorStore(saved)).store,
      encoder,
      batch: 256,
    }).write({ ...generation, previous });
    await hash.save(encoderFolder(folder));
  },
});

function denseOf(made: Vectors | undefined): Participant[] {
  if (made === undefined) return [];
  return [made.usesHash ? denseByHash(made) : denseBy(made.encoderOver(undefined, "code"), made.widthOver(undefined))];
}

const openMakers = (name?: string, engine?: Engine): Promise<Vectors | undefined> =>
  name === "none" ? Promise.resolve(undefined) : openVectors(name, engine);

/**
 * Updates the index of a folder of code and documents, and opens it.
 * @throws TesseraError BAD_SOURCE, INDEX_LOCKED, INDEX_CORRUPT, STORE_FAILED, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function updateCodebase(settings: CodebaseSettings): Promise<OpenedCodebase> {
  const vectors = await openMakers(settings.encoder, settings.engine);
  try {
    const { codebase, report } = await Codebase.update(settings.folder, {
      root: settings.root,
      participants: [sparse, ...denseOf(vectors)],
      readers: settings.readers,
      rebuild: settings.rebuild,
      progress: settings.progress,
      signal: settings.signal,
    });
    return await openStores(codebase, report, vectors);
  } catch (error) {
    await vectors?.close();
    throw error;
  }
}

/**
 * Opens an index as it is; `encoder` is the one that it was made with, `engine` computes it as in `CodebaseSettings`.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function openCodebase(folder: string, encoder?: string, engine?: Engine): Promise<OpenedCodebase> {
  return openStores(await Codebase.open(folder), undefined, await openMakers(encoder, engine));
}

async function openStores(
  codebase: Codebase,
  report: Report | undefined,
  made: Vectors | undefined,
): Promise<OpenedCodebase> {
  if (made === undefined)
    return {
      codebase,
      report,
      vectors: { kind: "none", reason: "there are no vectors" },
      resources: { store: { sparse: await Bm25Store.load(storeFolder(codebase.folderOf("sparse"))) } },
      model: undefined,
      close: async () => {},
    };
  const dense = codebase.folderOf("dense");
  const [words, vectors, encoder] = await Promise.all([
    Bm25Store.load(storeFolder(codebase.folderOf("sparse"))),
    loadVectorStore(storeFolder(dense)),
    made.usesHash
      ? HashEncoder.load(encoderFolder(dense)).then((own) => made.encoderOver(own, "code"))
      : made.encoderOver(undefined, "code"),
  ]);
  return {
    codebase,
    report,
    vectors: { kind: vectors.kind, reason: vectors.reason },
    resources: { store: { sparse: words, dense: vectors.store }, encoder: { encoder } },
    model: made.model,
    close: () => made.close(),
  };
}
