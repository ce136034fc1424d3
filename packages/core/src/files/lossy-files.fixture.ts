// for tests only: files in memory, of which a crash of the machine leaves what was synced
import type { LogFile, LogFiles } from "./log-files.js";

interface Node {
  /** What the process sees, and what would survive. */
  now: Buffer;
  kept: Buffer;
}

const block = 64; // bytes that a disk writes wholly or not at all

/** Files that note their calls, can fail at one of them, and can lose what was not synced. */
export class LossyFiles implements LogFiles {
  readonly calls: string[] = [];
  /** The number of the call from which on all fail, as after a crash. */
  crashAt = Number.POSITIVE_INFINITY;
  /** Fails a call by its name. */
  fail: (call: string) => boolean = () => false;
  private count = 0;

  private constructor(
    private readonly now: Map<string, Node>,
    private kept: Map<string, Node>,
  ) {}

  static empty(): LossyFiles {
    return new LossyFiles(new Map(), new Map());
  }

  /** What a crash of the machine leaves: what was synced, and of the rest the blocks that `isWritten` picks. */
  crashed(isWritten: () => boolean = () => false): LossyFiles {
    const names = new Map(this.kept);
    for (const [path, node] of this.now) if (!names.has(path) && isWritten()) names.set(path, node);
    for (const path of this.kept.keys()) if (!this.now.has(path) && isWritten()) names.delete(path);
    const nodes = [...names].map(([path, { now, kept }]) => {
      const content = torn(now, kept, isWritten);
      return [path, { now: content, kept: Buffer.from(content) }] as const;
    });
    return new LossyFiles(new Map(nodes), new Map(nodes));
  }

  /** What a killed process leaves: all that it wrote. */
  killed(): LossyFiles {
    return LossyFiles.of(Object.fromEntries(this.contents()));
  }

  static of(contents: Readonly<Record<string, Buffer>>): LossyFiles {
    const nodes = Object.entries(contents).map(
      ([path, content]) => [path, { now: Buffer.from(content), kept: Buffer.from(content) }] as const,
    );
    return new LossyFiles(new Map(nodes), new Map(nodes));
  }

  contents(): Map<string, Buffer> {
    return new Map([...this.now].map(([path, { now }]) => [path, now]));
  }

  /** Of all files, without the zeros at the end of those that are being written. */
  get bytes(): number {
    return [...this.now.values()].reduce((sum, { now }) => sum + 1 + now.findLastIndex((byte) => byte !== 0), 0);
  }

  private note(call: string): void {
    if (++this.count > this.crashAt) throw new Error("crashed");
    if (this.fail(call)) throw Object.assign(new Error(`no ${call}`), { code: "EIO" });
    this.calls.push(call);
  }

  async makeFolder(): Promise<void> {
    this.note("makeFolder");
  }

  async list(folder: string): Promise<string[]> {
    const prefix = `${folder}/`;
    return [...this.now.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  }

  async open(path: string, how: "create" | "existing"): Promise<LogFile> {
    this.note(`open ${how}`);
    if (how === "create") this.now.set(path, { now: Buffer.alloc(0), kept: Buffer.alloc(0) });
    const node = this.now.get(path);
    if (!node) throw new Error(`there is no ${path}`);
    return {
      size: async () => node.now.length,
      read: async (position, length) => Buffer.from(node.now.subarray(position, position + length)),
      write: async (bytes, position) => {
        this.note("write");
        write(node, bytes, position);
      },
      writeNow: (bytes, position) => {
        this.note("mark");
        write(node, bytes, position);
      },
      truncate: async (length) => {
        this.note("truncate");
        node.now = Buffer.from(node.now.subarray(0, length));
      },
      sync: async () => {
        this.note("sync");
        const { now } = node;
        await new Promise((resolve) => setImmediate(resolve));
        if (this.count > this.crashAt) throw new Error("crashed");
        node.kept = now;
        this.calls.push("synced");
      },
      close: async () => {},
    };
  }

  async rename(from: string, to: string): Promise<void> {
    this.note("rename");
    this.now.set(to, this.now.get(from)!);
    this.now.delete(from);
  }

  async remove(path: string): Promise<void> {
    this.note("remove");
    this.now.delete(path);
  }

  async syncFolder(): Promise<void> {
    this.note("syncFolder");
    this.kept = new Map(this.now);
  }
}

function write(node: Node, bytes: Buffer, position: number): void {
  const content = Buffer.alloc(Math.max(node.now.length, position + bytes.length));
  node.now.copy(content);
  bytes.copy(content, position);
  node.now = content;
}

/** The synced content, with some of the blocks that were written since. */
function torn(now: Buffer, kept: Buffer, isWritten: () => boolean): Buffer {
  const length = isWritten() ? now.length : Math.min(kept.length, now.length);
  const content = Buffer.alloc(length);
  kept.copy(content, 0, 0, length);
  for (let at = 0; at < length; at += block) if (isWritten()) now.copy(content, at, at, Math.min(at + block, length));
  return content;
}
