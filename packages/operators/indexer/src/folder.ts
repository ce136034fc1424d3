// public: LocalFolder
import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Folder, TesseraError } from "@tessera/core";
import {
  type DocumentSizes,
  type FolderDocument,
  type FolderListing,
  messageOf,
  type UnreadReason,
} from "@tessera/core/internal";
import { documentOf } from "./file-text.js";
import { bytesOf, listFiles } from "./files.js";
import { type Readers, sharedReaders } from "./readers/readers.js";

let asked = 0;

/**
 * A folder of this machine as a resource `folder`. What it lists and reads lies in it: links are not followed, and sockets,
 * pipes and devices are not opened.
 */
export class LocalFolder implements Folder {
  private constructor(
    private readonly root: string,
    private readonly readers: Readers | undefined,
  ) {}

  /**
   * @param readers What reads its files as documents; by default the built-in readers. They stay the caller's.
   * @throws TesseraError BAD_SOURCE where it is no folder, or may not be read.
   */
  static async open(root: string, { readers }: { readonly readers?: Readers } = {}): Promise<LocalFolder> {
    const refuse = (cause?: unknown) => {
      throw new TesseraError("BAD_SOURCE", `the folder cannot be read${cause ? `: ${messageOf(cause)}` : ""}`, {
        path: root,
        hint: "name a folder that exists and that you may read",
        cause,
      });
    };
    const real = (await realpath(root).catch(refuse)) as string;
    if (!(await stat(real)).isDirectory()) refuse(new Error("it is no folder"));
    return new LocalFolder(real, readers);
  }

  /** Another one each time that it is asked: what lies in a folder changes without a word, so that no cache may keep it. */
  get revision(): string {
    return `folder:${process.pid}:${++asked}`;
  }

  async check(): Promise<void> {
    const { root } = await LocalFolder.open(this.root);
    if (root !== this.root) throw new TesseraError("BAD_SOURCE", "a link took the folder's place", { path: this.root });
  }

  async list(how: Parameters<Folder["list"]>[0], signal?: AbortSignal): Promise<FolderListing> {
    await this.check();
    const { files, skipped } = await listFiles(this.root, how, signal);
    return { files: files.map(({ path }) => path), skipped };
  }

  /** @throws TesseraError BAD_ARGUMENT where the path leads out of the folder. */
  async read(path: string, maximumBytes: number, signal?: AbortSignal): Promise<Uint8Array | UnreadReason> {
    if (path.includes("\0") || path.split(/[/\\]/).some((name) => ["", ".", ".."].includes(name)))
      throw new TesseraError("BAD_ARGUMENT", "a path in a folder names what lies below it", { path });
    const bytes = await bytesOf(join(this.root, path), { maximumBytes, signal });
    return bytes === "gone" ? "unreadable" : bytes;
  }

  async document(path: string, sizes: DocumentSizes, signal?: AbortSignal): Promise<FolderDocument> {
    const readers = this.readers ?? (await sharedReaders());
    const most = readers.isDocument(path) ? sizes.maximumDocumentBytes : sizes.maximumBytes;
    const bytes = await this.read(path, most, signal);
    if (typeof bytes === "string") return { unread: [{ path, reason: bytes }] };
    return documentOf(path, await readers.read({ path, bytes }, signal));
  }
}
