// public: CodebaseSettings, OpenedCodebase, updateCodebase
import { join } from "node:path";
import type { Encoder } from "@tessera/core";
import { Codebase, type Participant, type Progress, type Readers, type Report } from "@tessera/indexer";
import { storeFolder, storeParticipant } from "@tessera/indexer/internal";
import { type CodeEncoder, type Engine, findModel, HashEncoder, joinEncoders, openCodeEncoder } from "@tessera/models";
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
   * vector. If it changes, all vectors are computed again. With "none" there are
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

/**
 * The share of a model in the score of "hash+<model>", by the embedding of its first exit; chosen on the development
 * repositories of the mine (docs/models/encoder.md).
 */
const share = 0.3;
const sharedWidth = 128;

/** What "hash", "hash+<model>" or "<model>" stands for. */
interface Vectors {
  readonly none?: boolean;
  readonly hash: boolean;
  readonly model: CodeEncoder | undefined;
}

async function openVectors(name = "hash", engine?: Engine): Promise<Vectors> {
  if (name === "none") return { none: true, hash: false, model: undefined };
  if (name === "hash") return { hash: true, model: undefined };
  const hash = name.startsWith("hash+");
  const folder = await findModel(hash ? name.slice("hash+".length) : name);
  return { hash, model: await openCodeEncoder(folder, engine) };
}

const joined = (hash: HashEncoder, model: CodeEncoder | undefined): Encoder => {
  if (model === undefined) return hash;
  const embedding = { exit: model.model.exits[0]!.layer, width: Math.min(sharedWidth, model.model.hidden) };
  return joinEncoders([
    { encoder: hash, share: 1 - share },
    { encoder: model, share, embedding },
  ]);
};

/** The vector store of a model. */
const denseBy = (encoder: CodeEncoder): Participant =>
  storeParticipant({
    name: "dense",
    create: async () => (await openVectorStore({ space: encoder.space({}), width: encoder.model.hidden })).store,
    load: async (saved) => (await loadVectorStore(saved)).store,
    encoder,
  });

/** The vector store and the hash encoder that made it: fitted to the first passages, and kept until the index is rebuilt. */
const denseByHash = (model: CodeEncoder | undefined): Participant => ({
  name: "dense",
  revision: [wordsRevision, "hash:2", ...(model ? [joined(new HashEncoder(), model).space({})] : [])].join(" "),
  async write(generation) {
    const { added, folder } = generation;
    // where all passages are new, as in an index that was empty, the encoder is fitted anew
    const previous = generation.passages().length === added.length ? undefined : generation.previous;
    const hash = previous === undefined ? new HashEncoder() : await HashEncoder.load(encoderFolder(previous));
    if (previous === undefined) hash.fit(added.map(({ title = "", text }) => `${title}\n${text}`));
    const encoder = joined(hash, model);
    const width = hash.width + (model ? Math.min(sharedWidth, model.model.hidden) : 0);
    await storeParticipant({
      name: "dense",
      create: async () => (await openVectorStore({ space: encoder.space({}), width })).store,
      load: async (saved) => (await loadVectorStore(saved)).store,
      encoder,
      batch: 256,
    }).write({ ...generation, previous });
    await hash.save(encoderFolder(folder));
  },
});

const denseOf = ({ none, hash, model }: Vectors): Participant[] =>
  none ? [] : [hash ? denseByHash(model) : denseBy(model!)];

/**
 * Updates the index of a folder of code and documents, and opens it.
 * @throws TesseraError BAD_SOURCE, INDEX_LOCKED, INDEX_CORRUPT, STORE_FAILED, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function updateCodebase(settings: CodebaseSettings): Promise<OpenedCodebase> {
  const vectors = await openVectors(settings.encoder, settings.engine);
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
    await vectors.model?.close();
    throw error;
  }
}

/**
 * Opens an index as it is; `encoder` is the one that it was made with, `engine` computes it as in `CodebaseSettings`.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function openCodebase(folder: string, encoder?: string, engine?: Engine): Promise<OpenedCodebase> {
  return openStores(await Codebase.open(folder), undefined, await openVectors(encoder, engine));
}

async function openStores(
  codebase: Codebase,
  report: Report | undefined,
  { none, hash, model }: Vectors,
): Promise<OpenedCodebase> {
  if (none)
    return {
      codebase,
      report,
      vectors: { kind: "none", reason: "there are no vectors" },
      resources: { store: { sparse: await Bm25Store.load(storeFolder(codebase.folderOf("sparse"))) } },
      model,
      close: async () => {},
    };
  const dense = codebase.folderOf("dense");
  const [words, vectors, encoder] = await Promise.all([
    Bm25Store.load(storeFolder(codebase.folderOf("sparse"))),
    loadVectorStore(storeFolder(dense)),
    hash ? HashEncoder.load(encoderFolder(dense)).then((own) => joined(own, model)) : model!,
  ]);
  return {
    codebase,
    report,
    vectors: { kind: vectors.kind, reason: vectors.reason },
    resources: { store: { sparse: words, dense: vectors.store }, encoder: { encoder } },
    model,
    close: async () => model?.close(),
  };
}
