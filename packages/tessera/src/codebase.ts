import { join } from "node:path";
import {
  Codebase,
  type Participant,
  type Progress,
  type Report,
  storeFolder,
  storeParticipant,
} from "@tessera/indexer";
import { type CodeEncoder, type Engine, findModel, HashEncoder, openCodeEncoder } from "@tessera/models";
import { Bm25Store, loadVectorStore, openVectorStore } from "@tessera/retriever";
import type { Resources } from "./resources.js";

export interface CodebaseSettings {
  /** The folder to index. */
  readonly root: string;
  /** Where the index is kept. */
  readonly folder: string;
  /** What makes the vectors: "hash" (the default), or the name or folder of a model. Another one writes them anew. */
  readonly encoder?: string | undefined;
  /** What computes a model; the CPU by default. It stays the caller's, who closes it after the codebase. */
  readonly engine?: Engine | undefined;
  /** Write everything anew, whatever is there. */
  readonly rebuild?: boolean | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface OpenedCodebase {
  readonly codebase: Codebase;
  /** What the update did; `undefined` where the index was only opened. */
  readonly report: Report | undefined;
  /** How vectors are searched here, and why, in one line. */
  readonly vectors: { readonly kind: "hnsw" | "exact"; readonly reason: string };
  /** The stores "sparse" and "dense", and the encoder "encoder", as flows name them. */
  readonly resources: Resources;
  /** Ends what runs for it: the threads of a model. */
  close(): Promise<void>;
}

const sparse = storeParticipant({ name: "sparse", create: () => new Bm25Store(), load: Bm25Store.load });

const encoderFolder = (participant: string): string => join(participant, "encoder");

/** The vector store of a model. */
const denseBy = (encoder: CodeEncoder): Participant =>
  storeParticipant({
    name: "dense",
    create: async () => (await openVectorStore({ space: encoder.space({}), width: encoder.model.hidden })).store,
    load: async (saved) => (await loadVectorStore(saved)).store,
    encoder,
  });

/** The vector store and the hash encoder that made it: fitted to the first passages, and kept until the index is rebuilt. */
const denseByHash: Participant = {
  name: "dense",
  revision: "hash:1",
  async write(generation) {
    const { previous, added, folder } = generation;
    const encoder = previous === undefined ? new HashEncoder() : await HashEncoder.load(encoderFolder(previous));
    if (previous === undefined) encoder.fit(added.map(({ title = "", text }) => `${title}\n${text}`));
    await storeParticipant({
      name: "dense",
      create: async () => (await openVectorStore({ space: encoder.space(), width: encoder.width })).store,
      load: async (saved) => (await loadVectorStore(saved)).store,
      encoder,
    }).write(generation);
    await encoder.save(encoderFolder(folder));
  },
};

const openEncoder = async (name = "hash", engine?: Engine): Promise<CodeEncoder | undefined> =>
  name === "hash" ? undefined : openCodeEncoder(await findModel(name), engine);

/**
 * Brings the index of a folder of code and Markdown up to date and opens it.
 * @throws TesseraError BAD_SOURCE, INDEX_LOCKED, INDEX_CORRUPT, STORE_FAILED, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function updateCodebase(settings: CodebaseSettings): Promise<OpenedCodebase> {
  const model = await openEncoder(settings.encoder, settings.engine);
  try {
    const { codebase, report } = await Codebase.update(settings.folder, {
      root: settings.root,
      participants: [sparse, model ? denseBy(model) : denseByHash],
      rebuild: settings.rebuild,
      progress: settings.progress,
      signal: settings.signal,
    });
    return await openStores(codebase, report, model);
  } catch (error) {
    await model?.close();
    throw error;
  }
}

/**
 * Opens an index as it is; `encoder` is the one that it was made with, `engine` computes it as in `CodebaseSettings`.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function openCodebase(folder: string, encoder?: string, engine?: Engine): Promise<OpenedCodebase> {
  return openStores(await Codebase.open(folder), undefined, await openEncoder(encoder, engine));
}

async function openStores(
  codebase: Codebase,
  report: Report | undefined,
  model: CodeEncoder | undefined,
): Promise<OpenedCodebase> {
  const [words, vectors, encoder] = await Promise.all([
    Bm25Store.load(storeFolder(codebase.folderOf("sparse"))),
    loadVectorStore(storeFolder(codebase.folderOf("dense"))),
    model ?? HashEncoder.load(encoderFolder(codebase.folderOf("dense"))),
  ]);
  return {
    codebase,
    report,
    vectors: { kind: vectors.kind, reason: vectors.reason },
    resources: { store: { sparse: words, dense: vectors.store }, encoder: { encoder } },
    close: async () => model?.close(),
  };
}
