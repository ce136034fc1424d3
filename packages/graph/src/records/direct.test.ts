import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { operator, text } from "@tessera/core";
import { KeyedLog, type LogFile, type LogFiles } from "@tessera/core/internal";
import { z } from "zod";
import { compile } from "../compile.js";
import { randomFlow, World } from "./crashes.fixture.js";
import { logRecords } from "./log.js";

/** Files in memory, whose syncs wait until they are let through, and of which a crash leaves what was synced. */
class HeldFiles implements LogFiles {
  readonly #files = new Map<string, { bytes: Buffer; synced: Buffer }>();
  #waiting: (() => void)[] = [];
  held = false;
  syncs = 0;
  /** From this sync on all fail. */
  failAt = Number.POSITIVE_INFINITY;

  static of(contents: ReadonlyMap<string, Buffer>): HeldFiles {
    const files = new HeldFiles();
    for (const [path, bytes] of contents) files.#files.set(path, { bytes, synced: bytes });
    return files;
  }

  /** What a crash of the machine leaves. */
  crashed(): HeldFiles {
    return HeldFiles.of(new Map([...this.#files].map(([path, { synced }]) => [path, Buffer.from(synced)])));
  }

  letThrough(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  async makeFolder(): Promise<void> {}
  async syncFolder(): Promise<void> {}
  async list(folder: string): Promise<string[]> {
    return [...this.#files.keys()].map((path) => path.slice(folder.length + 1));
  }
  async rename(from: string, to: string): Promise<void> {
    this.#files.set(to, this.#files.get(from)!);
    this.#files.delete(from);
  }
  async remove(path: string): Promise<void> {
    this.#files.delete(path);
  }

  async open(path: string, how: "create" | "existing"): Promise<LogFile> {
    if (how === "create") this.#files.set(path, { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) });
    const file = this.#files.get(path)!;
    const write = (bytes: Buffer, position: number) => {
      const all = Buffer.alloc(Math.max(file.bytes.length, position + bytes.length));
      file.bytes.copy(all);
      bytes.copy(all, position);
      file.bytes = all;
    };
    return {
      size: async () => file.bytes.length,
      read: async (position, length) => Buffer.from(file.bytes.subarray(position, position + length)),
      write: async (bytes, position) => write(bytes, position),
      writeNow: write,
      truncate: async (length) => {
        file.bytes = Buffer.from(file.bytes.subarray(0, length));
      },
      sync: async () => {
        const { bytes } = file;
        if (++this.syncs > this.failAt) throw new Error("no sync");
        if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
        file.synced = bytes;
      },
      close: async () => {},
    };
  }
}

const opened = async (files: HeldFiles) => logRecords(await KeyedLog.open({ folder: "log", files }));
const turns = async (count = 20) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** A line of steps that note that they began. */
function line(names: readonly string[], began: string[]) {
  const make = (name: string, more: object = {}) =>
    operator({
      name: `test.${name}`,
      version: 1,
      about: { module: "data", submodule: "test", summary: "Notes that it began." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      ...more,
      setup:
        () =>
        ({ value }) => {
          began.push(name);
          return { value: `${value} ${name}` };
        },
    });
  const operators = [
    make("free"),
    make("paid", { bound: () => ({ calls: 1, tokens: 0 }) }),
    make("write", { effects: "write" }),
  ];
  let value = "input.value";
  const nodes = names.map((name, index) => {
    const node = [`n${index}`, { run: `test.${name}`, in: { value } }] as const;
    value = `n${index}.value`;
    return node;
  });
  const document = {
    version: 1,
    name: "line",
    input: { value: "text" },
    nodes: Object.fromEntries(nodes),
    output: { value },
  };
  return { operators, document };
}

describe("a run whose records say at once what stands", () => {
  it("gives its result, and begins each step, only when what was finished before is synced; one sync for both ends", async () => {
    for (const names of [["free"], ["free", "free"], ["paid"], ["write"], ["free", "write", "paid"]]) {
      const files = new HeldFiles();
      const began: string[] = [];
      const { operators, document } = line(names, began);
      const flow = await compile(document as never, { operators, records: await opened(files) });
      await flow.run({ value: "warm" }); // what the log does first is done
      began.length = 0;
      files.held = true;
      let result: unknown;
      void flow.run({ value: "v" }).then((given) => {
        result = given;
      });
      // a step that costs nothing and writes nothing may begin while the beginning is being written
      for (let synced = names[0] === "free" ? 1 : 0; synced < names.length; synced++) {
        await turns();
        expect([names, began]).toEqual([names, names.slice(0, synced)]);
        files.letThrough();
      }
      await turns();
      expect([names, began, result]).toEqual([names, names, undefined]);
      files.letThrough();
      await turns();
      expect(result).toMatchObject({ status: "done" });
    }
  });

  it("fails where something could not be written, whatever it came to, and nobody is told of a result", async () => {
    const files = new HeldFiles();
    const { operators, document } = line(["free", "free"], []);
    const flow = await compile(document as never, { operators, records: await opened(files) });
    await flow.run({ value: "warm" });
    files.failAt = files.syncs;
    await expect(flow.run({ value: "v" })).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("goes on after a crash at any sync: no step with a durable entry starts again; by 25 random flows", async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const document = randomFlow(seed, { nodes: 3, depth: 1 });
      const calm = new World();
      const settings = { operators: calm.operators(), host: calm.host };
      const whole = new HeldFiles();
      const { output } = await (await compile(document, { ...settings, records: await opened(whole) })).run(
        { value: "ab" },
        { id: "r", seed: 3 },
      );
      for (let crash = 1; crash < whole.syncs; crash++) {
        const world = new World();
        const files = new HeldFiles();
        files.failAt = crash;
        const records = await opened(files);
        const first = await compile(document, { operators: world.operators(), host: world.host, records });
        await first.run({ value: "ab" }, { id: "r", seed: 3 }).catch(() => {});
        const left = await opened(files.crashed());
        if (!(await left.run("r"))) continue;
        const { entries } = await left.journal("r");
        const before = world.starts.length;
        const second = await compile(document, { operators: world.operators(), host: world.host, records: left });
        expect((await second.resume("r")).output).toEqual(output);
        const again = world.starts.slice(before).map((key) => key.slice(key.indexOf(":") + 1));
        expect(again.filter((place) => entries.has(place))).toEqual([]);
      }
    }
  });

  it("is there on a real disk", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-direct-"));
    const { operators, document } = line(["free", "paid"], []);
    const log = await KeyedLog.open({ folder });
    const flow = await compile(document as never, { operators, records: logRecords(log) });
    const { output } = await flow.run({ value: "v" }, { id: "r" });
    await log.close();
    const again = await KeyedLog.open({ folder });
    const replaying = await compile(document as never, { operators, records: logRecords(again) });
    expect((await replaying.replay("r")).output).toEqual(output);
    await again.close();
    await rm(folder, { recursive: true });
  });
});
