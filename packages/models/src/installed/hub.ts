import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ListFileEntry } from "@huggingface/hub";
import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";

/** A repository of the hub, and how it is reached. */
export interface HubSource {
  /** "owner/name" */
  readonly repository: string;
  /** A branch, a tag or a commit; the main branch by default. */
  readonly revision?: string | undefined;
  /** One GGUF file of a repository that has several. */
  readonly file?: string | undefined;
  /** The address of the hub; $HF_ENDPOINT or that of Hugging Face by default. */
  readonly address?: string | undefined;
  /** Of gated and private models; $HF_TOKEN by default. */
  readonly token?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of a file that are here, and all that it has. */
  readonly progress?: ((file: string, done: number, total: number) => void) | undefined;
  /** Hears what the card says of the licence, before anything is fetched. */
  readonly licence?: ((licence: string | undefined) => void) | undefined;
}

/** A repository that was fetched. */
interface Fetched {
  readonly commit: string;
  readonly licence: string | undefined;
  /** The folder, or the one GGUF file. */
  readonly path: string;
}

const defaultAddress = "https://huggingface.co";

type Library = typeof import("@huggingface/hub");

interface Access {
  readonly name: string;
  readonly hubUrl: string;
  readonly accessToken?: string;
  readonly fetch: typeof fetch;
}

function accessOf({ repository, address, token, signal }: HubSource): Access {
  if (!/^[\w.-]+\/[\w.-]+$/.test(repository))
    throw new TesseraError("BAD_ARGUMENT", `${JSON.stringify(repository)} is no repository`, {
      hint: "write hub:owner/name",
    });
  const accessToken = token ?? process.env.HF_TOKEN;
  const hubUrl = (address ?? process.env.HF_ENDPOINT ?? defaultAddress).replace(/\/+$/, "");
  return {
    name: repository,
    hubUrl,
    ...(accessToken && { accessToken }),
    fetch: (input, init) => fetch(input, signal ? { ...init, signal } : init),
  };
}

/** What the hub answered, in our words. */
function failure(
  cause: unknown,
  { name, hubUrl, accessToken }: Access,
  { HubApiError }: Library,
  signal: AbortSignal | undefined,
): unknown {
  if (signal?.aborted) return signal.reason;
  if (TesseraError.is(cause)) return cause;
  const path = `${hubUrl}/${name}`;
  if (cause instanceof HubApiError) {
    if (cause.statusCode === 404)
      return new TesseraError("UNKNOWN_RESOURCE", "the hub has no such model, revision or file", { path, cause });
    if (cause.statusCode === 401 || cause.statusCode === 403)
      return new TesseraError("FORBIDDEN", "the hub gives this model only to those whom it knows", {
        path,
        cause,
        hint: accessToken
          ? "accept the model's conditions on its page, with the account of $HF_TOKEN"
          : "set HF_TOKEN to a token of your account",
      });
    return new TesseraError("MODEL_FAILED", `the hub answers with status ${cause.statusCode}`, { path, cause });
  }
  return new TesseraError("MODEL_FAILED", `the hub cannot be reached or read: ${messageOf(cause)}`, {
    path,
    cause,
    hint: "run the command again: what is here already is not fetched again",
  });
}

/**
 * Fetches a model's config, tokenizer and weights (safetensors, or one GGUF file) into a folder. Every file is compared with
 * the hub's own checksum. What an earlier attempt has fetched is kept, and a file that it began is gone on with.
 * @throws TesseraError BAD_ARGUMENT, UNKNOWN_RESOURCE, FORBIDDEN, MODEL_FAILED; DEPENDENCY_MISSING; the reason of the signal
 */
export async function fetchFromHub(source: HubSource, folder: string): Promise<Fetched> {
  const access = accessOf(source);
  const library = await import("@huggingface/hub").catch(missing("@huggingface/hub"));
  try {
    const { sha, cardData } = await library.modelInfo({
      ...access,
      ...(source.revision !== undefined && { revision: source.revision }),
      additionalFields: ["sha", "cardData"],
    });
    const { license, license_name: own } = (cardData ?? {}) as { license?: unknown; license_name?: unknown };
    const licence = [own, license].find((name) => typeof name === "string" && name !== "other") as string | undefined;
    source.licence?.(licence ?? (typeof license === "string" ? license : undefined));
    const entries: ListFileEntry[] = [];
    for await (const one of library.listFiles({ ...access, repo: access.name, revision: sha, recursive: true }))
      if (one.type === "file") entries.push(one);
    const wanted = wantedOf(entries, source);
    for (const one of wanted) await fetchFile(one, { access, library, commit: sha, folder, source });
    const [only] = wanted;
    const path = wanted.length === 1 && isGguf(only!.path) ? join(folder, only!.path) : folder;
    return { commit: sha, licence: licence ?? (typeof license === "string" ? license : undefined), path };
  } catch (cause) {
    throw failure(cause, access, library, source.signal);
  }
}

const isGguf = (path: string): boolean => /\.gguf$/i.test(path);
const isWeights = (path: string): boolean => /^(?!consolidated|adapter)[^/]*\.safetensors$/.test(path);
/** Configs and tokenizers; of the folders only those of sentence-transformers. */
const isBeside = (path: string): boolean =>
  /^(?:[^/]+\.json|(?:vocab|merges)\.txt|LICEN[CS]E[^/]*|\d+_[A-Z]\w*\/config\.json)$/.test(path);
/** No JSON of a model is as large. */
const mostBeside = 64 * 1024 * 1024;

/**
 * The files of a repository that a model consists of.
 * @throws TesseraError BAD_ARGUMENT where it has none, or several models
 */
function wantedOf(entries: readonly ListFileEntry[], { repository, file }: HubSource): ListFileEntry[] {
  const odd = entries.find(({ path }) => path.startsWith("/") || path.split(/[\\/]/).includes(".."));
  if (odd) throw new TesseraError("BAD_BUNDLE", `the path "${odd.path}" leads out of the folder`, { path: repository });
  const ggufs = entries.filter(({ path }) => isGguf(path));
  const named = (list: readonly ListFileEntry[]): string => list.map(({ path }) => path).join(", ");
  if (file !== undefined) {
    const found = ggufs.find(({ path }) => path === file);
    if (found) return [found];
    throw new TesseraError("UNKNOWN_RESOURCE", `the repository has no GGUF file "${file}"`, {
      path: repository,
      hint: ggufs.length > 0 ? `it has ${named(ggufs)}` : "it has none",
    });
  }
  const weights = entries.filter(({ path }) => isWeights(path));
  if (weights.length > 0)
    return [...entries.filter(({ path, size }) => isBeside(path) && size <= mostBeside), ...weights];
  if (ggufs.length === 1) return ggufs;
  throw new TesseraError(
    "BAD_ARGUMENT",
    ggufs.length > 1
      ? `the repository has ${ggufs.length} GGUF files`
      : "the repository has neither safetensors nor a GGUF file",
    {
      path: repository,
      hint:
        ggufs.length > 1
          ? `name one by --file: ${named(ggufs.slice(0, 40))}`
          : "weights of other formats are not read: convert them, or choose a repository that has them",
    },
  );
}

interface Fetching {
  readonly access: Access;
  readonly library: Library;
  readonly commit: string;
  readonly folder: string;
  readonly source: HubSource;
}

/** The checksum of the hub: SHA-256 of large files, Git's own of small ones. */
const hashOf = ({ lfs, size }: ListFileEntry): Hash =>
  lfs ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
const expectedOf = ({ lfs, oid }: ListFileEntry): string | undefined => (lfs ? lfs.oid : oid);

async function fetchFile(entry: ListFileEntry, { access, library, commit, folder, source }: Fetching): Promise<void> {
  const { path, size } = entry;
  const expected = expectedOf(entry);
  const target = join(folder, path);
  await mkdir(dirname(target), { recursive: true });
  if ((await hashedSize(target, entry, source.signal))?.digest === expected && expected !== undefined) {
    source.progress?.(path, size, size);
    return;
  }
  // a part is of these very bytes, whatever the repository becomes
  const part = `${target}.${(expected ?? commit).slice(0, 16)}.part`;
  const begun = await hashedSize(part, entry, source.signal, { whole: false });
  const hash = begun && begun.bytes <= size ? begun.hash : hashOf(entry);
  let done = begun && begun.bytes <= size ? begun.bytes : 0;
  const file = await open(part, done > 0 ? "a" : "w");
  try {
    if (done < size) {
      const blob = await library.downloadFile({ ...access, repo: access.name, path, revision: commit });
      if (!blob) throw new TesseraError("UNKNOWN_RESOURCE", `the hub has no file "${path}"`, { path: access.name });
      for await (const piece of (done > 0 ? blob.slice(done) : blob).stream()) {
        source.signal?.throwIfAborted();
        await file.write(piece);
        hash.update(piece);
        done += piece.length;
        source.progress?.(path, done, size);
      }
    }
  } finally {
    await file.close();
  }
  const found = hash.digest("hex");
  if (done !== size || (expected !== undefined && found !== expected)) {
    if (done >= size) await rm(part, { force: true });
    throw new TesseraError(
      "BAD_BUNDLE",
      done === size
        ? `the file has the checksum ${found}, the hub says ${expected}`
        : `the file has ${done} bytes, the hub says ${size}`,
      { path: target, hint: "run the command again" },
    );
  }
  await rename(part, target);
}

/** The bytes of a file that is here, and their checksum so far. */
async function hashedSize(
  path: string,
  entry: ListFileEntry,
  signal: AbortSignal | undefined,
  { whole = true } = {},
): Promise<{ readonly bytes: number; readonly hash: Hash; readonly digest?: string } | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || (whole && found.size !== entry.size)) return undefined;
  const hash = hashOf(entry);
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(piece as Buffer);
  return { bytes: found.size, hash, ...(whole && { digest: hash.digest("hex") }) };
}
