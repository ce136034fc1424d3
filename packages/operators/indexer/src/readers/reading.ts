import { basename } from "node:path/posix";
import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import { fallback } from "./builtin.js";
import { decodeText } from "./encoding.js";
import { type Layout, layOut } from "./layout.js";
import {
  type ReadDocument,
  type Reader,
  type ReaderContext,
  type ReaderFile,
  type ReaderLimits,
  UnreadFile,
  type UnreadPart,
} from "./reader.js";

/** What reading a file came to. */
export type ReadResult =
  | {
      readonly reader: string;
      readonly title?: string | undefined;
      readonly text: string;
      readonly language: string;
      /** Of a document of blocks. */
      readonly layout?: Layout | undefined;
      readonly unread: readonly UnreadPart[];
    }
  | UnreadPart;

const isPackageMissing = (error: unknown): boolean =>
  ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"].includes(String((error as NodeJS.ErrnoException)?.code));

/** What an optional package of ours was wanted for and how it is installed, where that is the error. */
const whatIsMissing = (error: unknown): string | undefined =>
  TesseraError.is(error) && error.code === "DEPENDENCY_MISSING"
    ? [error.message, error.hint].filter(Boolean).join(": ")
    : undefined;

/** The last extension of a file's name in lower case, or its whole name where it has none. */
export const extensionsOf = (path: string): readonly string[] => {
  const name = basename(path).toLowerCase();
  return [name, ...(name.includes(".") ? [name.slice(name.lastIndexOf(".") + 1)] : [])];
};

/** The reader of a file: by what its bytes are where that is plain, else by its name, else by how its text begins. */
export function readerOf({ path, bytes }: ReaderFile, readers: readonly Reader[]): Reader {
  const names = extensionsOf(path);
  const named = readers.find(({ extensions }) => extensions.some((extension) => names.includes(extension)));
  if (named?.sniff?.(bytes)) return named;
  const binary = readers.find((reader) => reader.binary && reader.sniff?.(bytes));
  if (binary) return binary;
  if (named) return named;
  const isKnown = fallback.extensions.includes(names.at(-1)!) || names.length === 1;
  return (isKnown ? undefined : readers.find((reader) => reader.sniff?.(bytes))) ?? fallback;
}

/** Reads files with some readers, in whatever thread this is. */
export class Reading implements ReaderContext {
  private depth = 0;
  private readonly unread: UnreadPart[] = [];

  constructor(
    private readonly readers: readonly Reader[],
    readonly limits: ReaderLimits,
  ) {}

  async text(bytes: Uint8Array, declared?: string): Promise<string> {
    const detect = async (unknown: Uint8Array) => {
      const { analyse } = await import("chardet").catch(missing("chardet"));
      return analyse(unknown.subarray(0, 1 << 16)).map(({ name, confidence }) => ({ name, confidence }));
    };
    const { text, unread } = await decodeText(bytes, detect, declared);
    if (unread) this.unread.push(unread);
    return text;
  }

  async library<T>(name: string, load: () => Promise<T>): Promise<T> {
    try {
      return await load();
    } catch (cause) {
      if (isPackageMissing(cause))
        throw new UnreadFile("missing", `the package ${name} reads it, and is not installed: npm install ${name}`);
      throw new UnreadFile("missing", `the package ${name} reads it, and cannot be loaded: ${messageOf(cause)}`);
    }
  }

  /** Reads a file; text whose reader lacks its library is read as plain text, which is said, and read again each time. */
  private async document(file: ReaderFile, reader: Reader): Promise<ReadDocument> {
    try {
      return await reader.read(file, this);
    } catch (error) {
      const detail = whatIsMissing(error);
      if (detail === undefined || reader === fallback) throw error;
      if (reader.binary) throw new UnreadFile("missing", detail);
      this.unread.push({ reason: "missing", detail: `it is read as plain text. ${detail}` });
      return fallback.read(file, this);
    }
  }

  async part(file: ReaderFile): Promise<ReadDocument> {
    if (++this.depth > Math.min(this.limits.depth, 8)) throw new UnreadFile("limit", "its parts are nested too deep");
    try {
      return await readerOf(file, this.readers).read(file, this);
    } finally {
      this.depth--;
    }
  }

  /** Reads a whole file. It never throws: what goes wrong is why the file gives no text. */
  async file(file: ReaderFile): Promise<ReadResult> {
    const reader = readerOf(file, this.readers);
    this.unread.length = 0;
    try {
      const document = await this.document(file, reader);
      const unread = [...(document.unread ?? []), ...this.unread];
      if (document.kind === "text")
        return { reader: reader.name, text: document.text, language: document.language, unread };
      if (document.blocks.length > this.limits.blocks)
        throw new UnreadFile(
          "limit",
          `it has ${document.blocks.length} blocks, and ${this.limits.blocks} are read at most`,
        );
      const { text, layout } = layOut(document);
      if (text.trim() === "" && (unread[0] || reader.binary))
        throw unread[0] ? new UnreadFile(unread[0].reason, unread[0].detail) : noText;
      return { reader: reader.name, title: document.title, text, language: "markdown", layout, unread };
    } catch (error) {
      if (error instanceof UnreadFile) return { reason: error.reason, detail: error.detail };
      const wanted = whatIsMissing(error);
      if (wanted !== undefined) return { reason: "missing", detail: wanted };
      // a reader that comes from elsewhere has a class of its own
      const { reason, detail } = error as Partial<UnreadPart>;
      if ((error as Error)?.name === "UnreadFile" && reason) return { reason, detail: String(detail) };
      return { reason: "damaged", detail: `the ${reader.name} reader failed on it: ${messageOf(error)}` };
    }
  }
}

const noText = new UnreadFile("no-text", "it holds no text");
