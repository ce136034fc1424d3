import { type ChangeOptions, type Hit, type Passage, type StoreQuery, TesseraError } from "@tessera/core";
import { z } from "zod";
import { type Admission, type LoadSettings, PassageTable, passagesAsJson, type SaveSettings } from "./passage-table.js";
import { alignedBuffer, bytesOf, type Content, readSnapshot, writeSnapshot } from "./snapshot.js";
import { TopHeap } from "./top-heap.js";

/** What the vectors of a store are. */
export interface VectorSpace {
  /** The space's name, as the encoder gives it. */
  readonly space: string;
  /** How many components a vector has. */
  readonly width: number;
}

const format = { format: "tessera.vectors", version: 1 } as const;
const header = z.object({ space: z.string(), width: z.int().positive(), revision: z.string() });

/**
 * A vector of length 1 in the same direction; the zero vector stays.
 * @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT
 */
export function unitOf(vector: Float32Array | undefined, { space, width }: VectorSpace, path: string): Float32Array {
  if (!vector) throw new TesseraError("BAD_ARGUMENT", "a vector store needs vectors", { path });
  if (vector.length !== width)
    throw new TesseraError("SPACE_MISMATCH", `a vector of width ${vector.length} for a store of ${width}`, {
      path,
      hint: `the store holds the space "${space}"`,
    });
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!;
  if (!Number.isFinite(squares))
    throw new TesseraError("BAD_ARGUMENT", "a vector has a component that is no number", { path });
  const unit = new Float32Array(vector.length);
  const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
  for (let i = 0; i < vector.length; i++) unit[i] = vector[i]! * scale;
  return unit;
}

/** Rows in one signed byte a component, with a scale for each row: component = byte · scale. */
function roundedFiles(rows: Float32Array, width: number): Record<string, Uint8Array> {
  const rounded = new Int8Array(rows.length);
  const scales = new Float32Array(rows.length / width);
  for (let row = 0; row < scales.length; row++) {
    let most = 0;
    for (let i = row * width; i < (row + 1) * width; i++) most = Math.max(most, Math.abs(rows[i]!));
    const scale = most / 127;
    scales[row] = scale;
    if (scale > 0) for (let i = row * width; i < (row + 1) * width; i++) rounded[i] = Math.round(rows[i]! / scale);
  }
  return { rounded: bytesOf(rounded), scales: bytesOf(scales) };
}

/** The rows that were rounded, each of length 1 again. */
function rowsOf(rounded: Uint8Array, scaleBytes: Uint8Array, width: number): Float32Array {
  const bytes = new Int8Array(alignedBuffer(rounded));
  const scales = new Float32Array(alignedBuffer(scaleBytes));
  if (bytes.length !== scales.length * width) return new Float32Array(1); // does not fit, and is refused
  const rows = new Float32Array(bytes.length);
  for (let row = 0; row < scales.length; row++) {
    if (scales[row] === 0) continue;
    let squares = 0;
    for (let i = row * width; i < (row + 1) * width; i++) squares += bytes[i]! * bytes[i]!;
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    for (let i = row * width; i < (row + 1) * width; i++) rows[i] = bytes[i]! * scale;
  }
  return rows;
}

/** Passages with their vectors, each of length 1 in a row of one matrix: what all vector stores hold, and save alike. */
export class Vectors {
  #rows: Float32Array;

  private constructor(
    readonly table: PassageTable,
    readonly space: string,
    readonly width: number,
    rows: Float32Array,
  ) {
    this.#rows = rows;
  }

  /** @throws TesseraError BAD_ARGUMENT */
  static empty(store: string, { space, width }: VectorSpace): Vectors {
    if (!Number.isInteger(width) || width < 1)
      throw new TesseraError("BAD_ARGUMENT", `a width is a whole number above 0, not ${width}`);
    return new Vectors(new PassageTable(store), space, width, new Float32Array(64 * width));
  }

  /** The vector of a slot. */
  row(slot: number): Float32Array {
    return this.#rows.subarray(slot * this.width, (slot + 1) * this.width);
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT */
  unit(vector: Float32Array | undefined, path: string): Float32Array {
    return unitOf(vector, this, path);
  }

  /** What an upsert changes, checked before anything is. */
  check(
    passages: readonly Passage[],
    vectors: readonly Float32Array[] = [],
  ): { units: Float32Array[]; json: string[] } {
    const json = passagesAsJson(passages);
    if (vectors.length !== passages.length)
      throw new TesseraError("BAD_ARGUMENT", `${passages.length} passages with ${vectors.length} vectors`);
    return { json, units: vectors.map((vector, index) => this.unit(vector, `vectors[${index}]`)) };
  }

  note({ units, json }: { units: readonly Float32Array[]; json: readonly string[] }, how?: ChangeOptions): void {
    this.table.note([...json, ...units.map(bytesOf)], how);
  }

  /** Puts a passage into the slot of its id, or a vacant one, and returns the slot. */
  put(passage: Passage, unit: Float32Array): number {
    const slot = this.table.put(passage, this.table.slotOf(passage.id) ?? this.table.vacancy());
    if ((slot + 1) * this.width > this.#rows.length) {
      const larger = new Float32Array(2 * this.#rows.length);
      larger.set(this.#rows);
      this.#rows = larger;
    }
    this.#rows.set(unit, slot * this.width);
    return slot;
  }

  /** The cosine of a unit vector and the vector of a slot. */
  cosine(slot: number, unit: Float32Array): number {
    const rows = this.#rows;
    const { width } = this;
    let at = slot * width;
    let [a, b, c, d] = [0, 0, 0, 0];
    let i = 0;
    for (; i + 4 <= width; i += 4, at += 4) {
      a += unit[i]! * rows[at]!;
      b += unit[i + 1]! * rows[at + 1]!;
      c += unit[i + 2]! * rows[at + 2]!;
      d += unit[i + 3]! * rows[at + 3]!;
    }
    for (; i < width; i++, at++) a += unit[i]! * rows[at]!;
    return a + b + (c + d);
  }

  /** The nearest of all that the query admits, by looking at every vector. */
  exact(unit: Float32Array, { top, filter, principal }: StoreQuery, admission?: Admission): Hit[] {
    const best = new TopHeap(top, this.table.idAt);
    const { slots, admits } = admission ?? this.table.admission(filter, principal);
    if (slots) for (const slot of slots) best.offer(slot, this.cosine(slot, unit));
    else {
      const narrow = filter !== undefined || !this.table.unrestricted;
      for (let slot = 0; slot < this.table.end; slot++) {
        // a mask or a filter costs less than a cosine
        if (narrow && !admits(slot)) continue;
        const score = this.cosine(slot, unit);
        if (score >= best.threshold && (narrow || admits(slot))) best.offer(slot, score);
      }
    }
    return this.table.hits(best.ranked());
  }

  /** The share of the passages that are admitted; where they are not known it is guessed from 256 of them, evenly spread. */
  admitted({ slots }: Admission, { filter, principal }: StoreQuery): number {
    const { end, size } = this.table;
    if (size === 0) return 0;
    if (slots) return slots.length / size;
    const permitted = this.table.permitted(principal) / size;
    if (filter === undefined) return permitted;
    const stride = Math.max(1, Math.floor(end / 256));
    let asked = 0;
    let admitted = 0;
    for (let slot = 0; slot < end; slot += stride, asked++) if (this.table.admits(slot, filter, principal)) admitted++;
    return Math.min(permitted, admitted / asked);
  }

  async save(
    folder: string,
    { passages, bytes = 4 }: SaveSettings = {},
    contents: Readonly<Record<string, Content>> = {},
  ): Promise<void> {
    const { space, width, table } = this;
    const rows = this.#rows.subarray(0, table.end * width);
    await writeSnapshot(
      folder,
      { ...format, header: { space, width, revision: table.revision } },
      {
        ...table.toFiles(passages),
        keys: table.keyLines(),
        ...(bytes === 1 ? roundedFiles(rows, width) : { vectors: bytesOf(rows) }),
        ...contents,
      },
    );
  }

  /** What any vector store saved, and where its graph lies, if it saved one. */
  static async load(
    folder: string,
    store: string,
    { passages }: LoadSettings = {},
  ): Promise<{ vectors: Vectors; graph: string | undefined }> {
    const { header: head, files } = await readSnapshot(folder, { ...format, header });
    const table = PassageTable.fromFiles(store, head.revision, files, passages);
    table.readKeys(files.keys?.bytes);
    const { vectors = { bytes: Buffer.alloc(0) }, rounded, scales } = files;
    const rows =
      rounded && scales
        ? rowsOf(rounded.bytes, scales.bytes, head.width)
        : new Float32Array(alignedBuffer(vectors.bytes));
    if (rows.length !== table.end * head.width)
      throw new TesseraError("INDEX_CORRUPT", "the parts of the index do not fit", {
        path: folder,
        hint: "index again",
      });
    const room = new Float32Array(Math.max(rows.length, 64 * head.width));
    room.set(rows);
    return { vectors: new Vectors(table, head.space, head.width, room), graph: files.graph?.path };
  }
}
