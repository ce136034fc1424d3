// public: ReaderFile, ReaderLimits, ReaderContext, BlockPlace, Block, ListItem, Field, UnreadPart, ReadDocument, Reader, UnreadFile
import type { MaybePromise } from "@tessera/core";
import type { DocumentPlace, UnreadReason } from "@tessera/core/internal";

/** A file as a reader sees it. */
export interface ReaderFile {
  /** Relative to its folder, with "/" between the names; of an attachment its name. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What one file may cost. A file that costs more is left out, which is said, and the next one is read. */
export interface ReaderLimits {
  /** Milliseconds. */
  readonly time: number;
  /** Bytes of memory of the process that reads, about 100 MB of which are Node's own. */
  readonly memory: number;
  /** Bytes that all its compressed parts together may unpack to. */
  readonly unpacked: number;
  /** How deep elements, values or attachments may be nested. */
  readonly depth: number;
  /** Pages, slides, sheets or chapters. */
  readonly pages: number;
  /** Blocks of a document. */
  readonly blocks: number;
}

/** What a reader may ask while it reads. */
export interface ReaderContext {
  readonly limits: ReaderLimits;
  /**
   * Text of bytes: UTF-8, UTF-16, the encoding that is declared, or the one that the bytes are surely in; every line ends
   * with "\n". @throws UnreadFile "binary" or "encoding"
   */
  text(bytes: Uint8Array, declared?: string): Promise<string>;
  /**
   * Loads an optional library: `await library("yaml", () => import("yaml"))`.
   * @throws UnreadFile "missing", with what to install
   */
  library<T>(name: string, load: () => Promise<T>): Promise<T>;
  /** Reads a part, such as an attachment, by the reader of its own kind. @throws UnreadFile */
  part(file: ReaderFile): Promise<ReadDocument>;
}

/** Where a block stands; `lines` count from 1 and include both ends. */
export interface BlockPlace {
  readonly lines?: readonly [from: number, to: number] | undefined;
  readonly place?: DocumentPlace | undefined;
}

/** A piece of a document, in reading order. Text is Markdown as far as it has emphasis, links or code in it. */
export type Block = BlockPlace &
  (
    | { readonly kind: "heading"; readonly level: number; readonly text: string }
    | { readonly kind: "paragraph"; readonly text: string }
    /** Markdown with headings, lists and fences of its own. */
    | { readonly kind: "markdown"; readonly text: string }
    | { readonly kind: "list"; readonly items: readonly ListItem[] }
    | { readonly kind: "table"; readonly rows: readonly (readonly string[])[]; readonly head?: boolean }
    | { readonly kind: "code"; readonly text: string; readonly language?: string | undefined }
    /** A row with the names of its columns, or the values of a record: always a passage of its own. */
    | { readonly kind: "record"; readonly fields: readonly Field[]; readonly perLine?: boolean | undefined }
  );

/** An item of a list in a document. */
export interface ListItem {
  readonly text: string;
  /** How deep it is nested, from 0. */
  readonly depth?: number;
  /** "-" by default; "1." in an ordered list. */
  readonly marker?: string;
}
/** A name with its value, such as a property of a document. */
export type Field = readonly [name: string, value: string];

/** A part of a file that was not read although the file was. */
export interface UnreadPart {
  readonly reason: UnreadReason;
  readonly detail: string;
}

/** What a reader makes of a file: its text as it stands, cited by its lines, or blocks that say where they stand. */
export type ReadDocument =
  | { readonly kind: "text"; readonly text: string; readonly language: string; readonly unread?: readonly UnreadPart[] }
  | {
      readonly kind: "blocks";
      readonly title?: string | undefined;
      readonly blocks: readonly Block[];
      readonly unread?: readonly UnreadPart[];
    };

/** Reads one kind of file. docs/documents.md says how to add one. */
export interface Reader {
  /** Lower case: "pdf". */
  readonly name: string;
  /** Raised when it reads the same file otherwise: what it has read before is then read again. */
  readonly version: number;
  /** Extensions in lower case without the dot ("pdf"), or whole names of files ("makefile"). */
  readonly extensions: readonly string[];
  /**
   * Whether bytes are of this kind, whatever the file is called. Where `binary`, it is asked of every file; otherwise of
   * files whose name says nothing.
   */
  sniff?(bytes: Uint8Array): boolean;
  /** The file is no text: it may be as large as `maximumDocumentBytes`. */
  readonly binary?: boolean;
  read(file: ReaderFile, context: ReaderContext): MaybePromise<ReadDocument>;
}

/** Thrown by a reader where a file gives no text. Anything else that it throws means "damaged". */
export class UnreadFile extends Error {
  override readonly name = "UnreadFile";
  constructor(
    readonly reason: UnreadReason,
    /** What is the matter and what to do about it, in plain words. */
    readonly detail = "",
  ) {
    super(detail || reason);
  }
}

/** The limits where nothing else is said. */
export const readerLimits: ReaderLimits = {
  time: 60_000,
  memory: 1 << 30,
  unpacked: 512 << 20,
  depth: 200,
  pages: 5_000,
  blocks: 200_000,
};
