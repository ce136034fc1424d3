import { TesseraError } from "@tessera/core";

/** No block; and the serial of what comes before the first block. */
const none = -1;

/**
 * The blocks of a paged cache: which are free, which are in use and by how many sequences, and what full blocks hold.
 * A full block is known by its tokens and by the block before it, so sequences that begin alike share their beginning.
 * Blocks that nobody uses keep their contents until the room is needed; the one unused longest goes first.
 */
export class BlockCache {
  private readonly users: Int32Array;
  /** What a block holds, named anew each time it is filled; −1 where it is not known. */
  private readonly serial: Float64Array;
  /** The serial of the block before it. */
  private readonly before: Float64Array;
  private readonly hash: Float64Array;
  private readonly contents: Int32Array;
  private readonly known = new Map<number, number>();
  private readonly free: number[];
  /** Known blocks that nobody uses, longest unused first. */
  private readonly unused = new Set<number>();
  private serials = 0;

  constructor(
    readonly blocks: number,
    readonly blockTokens: number,
  ) {
    if (!Number.isSafeInteger(blocks) || blocks < 1 || !Number.isSafeInteger(blockTokens) || blockTokens < 1)
      throw new TesseraError("BAD_ARGUMENT", `${blocks} blocks of ${blockTokens} tokens are no cache`);
    this.users = new Int32Array(blocks);
    this.serial = new Float64Array(blocks).fill(none);
    this.before = new Float64Array(blocks);
    this.hash = new Float64Array(blocks);
    this.contents = new Int32Array(blocks * blockTokens);
    this.free = Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
  }

  /** Blocks that can be taken now. */
  get available(): number {
    return this.free.length + this.unused.size;
  }

  /** Blocks that hold something which a later sequence may share. */
  get remembered(): number {
    return this.known.size;
  }

  /** Takes a block for one sequence, or −1 where all are in use. */
  take(): number {
    const block = this.free.pop() ?? this.evict();
    if (block !== none) this.users[block] = 1;
    return block;
  }

  /** Gives back one sequence's use of blocks, the last first, so that a beginning outlives what follows it. */
  release(blocks: Int32Array): void {
    for (let i = blocks.length - 1; i >= 0; i--) {
      const block = blocks[i]!;
      if (this.users[block]! < 1) throw new TesseraError("BAD_ARGUMENT", `block ${block} is in nobody's use`);
      this.users[block]! -= 1;
      if (this.users[block] === 0) {
        if (this.serial[block] === none) this.free.push(block);
        else this.unused.add(block);
      }
    }
  }

  /** Takes the blocks that hold the beginning of `tokens`, at most `most` of them: a shared use for the caller. */
  reuse(tokens: Int32Array, most: number): number[] {
    const found: number[] = [];
    let serial = none;
    while (found.length < most) {
      const from = found.length * this.blockTokens;
      if (from + this.blockTokens > tokens.length) break;
      const block = this.find(serial, tokens, from);
      if (block === none) break;
      found.push(block);
      serial = this.serial[block]!;
    }
    for (const block of found) {
      if (this.users[block] === 0) this.unused.delete(block);
      this.users[block]! += 1;
    }
    return found;
  }

  /**
   * Says what a block in use holds, once it is full: tokens[from … from + blockTokens). Nothing is remembered where the
   * block before it is not known, or where another block holds the same.
   */
  remember(block: number, previous: number | undefined, tokens: Int32Array, from: number): void {
    const before = previous === undefined ? none : this.serial[previous]!;
    if (this.serial[block] !== none || (previous !== undefined && before === none)) return;
    const hash = this.hashOf(before, tokens, from);
    if (this.known.has(hash)) return;
    this.serial[block] = this.serials++;
    this.before[block] = before;
    this.hash[block] = hash;
    this.contents.set(tokens.subarray(from, from + this.blockTokens), block * this.blockTokens);
    this.known.set(hash, block);
  }

  /** Forgets what blocks hold: after a failure of the engine nobody can say. */
  forget(): void {
    this.known.clear();
    this.serial.fill(none);
    this.free.push(...this.unused);
    this.unused.clear();
  }

  private evict(): number {
    const [block] = this.unused;
    if (block === undefined) return none;
    this.unused.delete(block);
    this.known.delete(this.hash[block]!);
    this.serial[block] = none;
    return block;
  }

  private find(before: number, tokens: Int32Array, from: number): number {
    const block = this.known.get(this.hashOf(before, tokens, from));
    if (block === undefined || this.before[block] !== before) return none;
    const at = block * this.blockTokens;
    for (let i = 0; i < this.blockTokens; i++) if (this.contents[at + i] !== tokens[from + i]) return none;
    return block;
  }

  /** 53 bits of two multiplicative hashes; equal hashes are compared token by token. */
  private hashOf(before: number, tokens: Int32Array, from: number): number {
    let low = Math.imul(before | 0, 0x9e3779b1) ^ 0x811c9dc5;
    let high = Math.imul((before / 4294967296) | 0, 0x85ebca6b) ^ low;
    for (let i = from; i < from + this.blockTokens; i++) {
      low = Math.imul(low ^ tokens[i]!, 0x01000193);
      high = Math.imul(high ^ tokens[i]! ^ (low >>> 15), 0x5bd1e995);
    }
    return (high >>> 11) * 4294967296 + (low >>> 0);
  }
}
