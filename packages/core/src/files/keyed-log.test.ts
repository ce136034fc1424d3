import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import fc from "fast-check";
import { blobHash, type KeyedChange, KeyedLog, type KeyedLogOptions } from "./keyed-log.js";
import { LossyFiles } from "./lossy-files.fixture.js";

const folder = "log";
const open = (files: LossyFiles, options: Partial<KeyedLogOptions> = {}) =>
  KeyedLog.open({ folder, files, segmentBytes: 600, spareBytes: 300, ...options });

/** A value, or a member of a list, of the twin: its bytes and the texts of its blobs. */
interface Value {
  readonly text: string;
  readonly blobs: readonly string[];
}
class Twin {
  readonly values = new Map<string, Value>();
  readonly lists = new Map<string, Value[]>();
}

const key = fc.constantFrom("a", "b", "c", "d", "e");
const blobText = fc.constantFrom("x".repeat(90), "y".repeat(150), "z".repeat(30));
const change = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ put: key, text: fc.string({ maxLength: 80 }), blobs: fc.uniqueArray(blobText) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      add: key,
      text: fc.string({ maxLength: 40 }),
      blobs: fc.uniqueArray(blobText, { maxLength: 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ delete: key }) },
);
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("commit" as const),
      changes: fc.array(change, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);
type Given = typeof change extends fc.Arbitrary<infer T> ? T : never;

function commit(log: KeyedLog, changes: readonly Given[]): Promise<void> {
  const blobs = new Map<string, Buffer>();
  const made = changes.map((one): KeyedChange => {
    if ("delete" in one) return one;
    const hashes = one.blobs.map((text) => blobHash(Buffer.from(text)));
    for (const [index, text] of one.blobs.entries()) blobs.set(hashes[index]!, Buffer.from(text));
    const value = Buffer.from(one.text);
    return "put" in one ? { put: one.put, value, blobs: hashes } : { add: one.add, value, blobs: hashes };
  });
  return log.commit(made, blobs);
}

function apply({ values, lists }: Twin, changes: readonly Given[]): void {
  for (const one of changes) {
    if ("put" in one) values.set(one.put, one);
    else if ("add" in one) lists.set(one.add, [...(lists.get(one.add) ?? []), one]);
    else {
      values.delete(one.delete);
      lists.delete(one.delete);
    }
  }
}

function copy({ values, lists }: Twin): Twin {
  const twin = new Twin();
  for (const [name, value] of values) twin.values.set(name, value);
  for (const [name, list] of lists) twin.lists.set(name, list);
  return twin;
}

/** Everything that can be read of a log. */
async function contentOf(log: KeyedLog): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const name of log.keys()) content.set(name, String(await log.get(name)));
  for (const name of log.listKeys()) {
    const list = await log.list(name);
    if (list.length > 0) content.set(`list ${name}`, list.join("|"));
  }
  for (const text of ["x".repeat(90), "y".repeat(150), "z".repeat(30)]) {
    const blob = await log.blob(blobHash(Buffer.from(text)));
    if (blob) content.set(`blob ${text}`, String(blob));
  }
  return content;
}

function naive({ values, lists }: Twin): Map<string, string> {
  const content = new Map([...values].map(([name, { text }]) => [name, text]));
  for (const [name, list] of lists) content.set(`list ${name}`, list.map(({ text }) => text).join("|"));
  for (const { blobs } of [...values.values(), ...[...lists.values()].flat()])
    for (const text of blobs) content.set(`blob ${text}`, text);
  return content;
}

const sorted = (content: Map<string, string>) => [...content].sort(([a], [b]) => (a < b ? -1 : 1));

// a compaction that fails says so
beforeEach(() => {
  jest.spyOn(process, "emitWarning").mockImplementation(() => {});
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe("a keyed log", () => {
  it("holds what a map would, with blobs as long as they are named, through failures, compaction and reopening", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const files = LossyFiles.empty();
        const twin = new Twin();
        let log = await open(files);
        let asked: Promise<unknown>[] = [];
        for (const one of steps) {
          if (one.kind === "commit") {
            const { changes } = one;
            // applied in the order of their confirmation
            asked.push(
              commit(log, changes)
                .then(() => apply(twin, changes))
                .catch(() => {}),
            );
          } else {
            if (one.kind === "fail") {
              await Promise.all(asked);
              await log.compacted();
              files.fail = (call) => call === "write";
              const failing = [
                commit(log, [{ put: "a", text: "lost", blobs: ["y".repeat(150)] }]),
                commit(log, [{ delete: "b" }]),
              ];
              const after = failing[0]!.catch(() => {
                files.fail = () => false;
              });
              for (const result of await Promise.allSettled(failing)) expect(result.status).toBe("rejected");
              await after;
            }
            await Promise.all(asked);
            asked = [];
            if (one.kind === "compact") await log.compacted();
            if (one.kind === "reopen") {
              await log.close();
              const last = new Map<string, string>();
              log = await open(files, {
                onOpen: (name, value) => void (value === undefined ? last.delete(name) : last.set(name, String(value))),
              });
              expect(sorted(last)).toEqual(sorted(new Map([...twin.values].map(([name, { text }]) => [name, text]))));
            }
            expect(sorted(await contentOf(log))).toEqual(sorted(naive(twin)));
          }
        }
        await Promise.all(asked);
        await log.compacted();
        expect(sorted(await contentOf(log))).toEqual(sorted(naive(twin)));
        expect(files.bytes).toBe(log.bytes);
        expect(log.bytes - log.liveBytes).toBeLessThanOrEqual(Math.max(300, log.liveBytes));
        const { liveBytes } = log;
        await log.close();
        const again = await open(LossyFiles.of(Object.fromEntries(files.contents())));
        expect(again.liveBytes).toBe(liveBytes);
        expect(sorted(await contentOf(again))).toEqual(sorted(naive(twin)));
        await again.close();
      }),
      { numRuns: 150 },
    );
  });

  it("survives a crash at any call, of appends and of compaction: by every call", async () => {
    for (let crashAt = 1, ended = false; !ended; crashAt++) {
      const files = LossyFiles.empty();
      files.crashAt = crashAt;
      let confirmed = new Twin();
      let asked = new Twin();
      try {
        const log = await open(files);
        for (let round = 0; round < 20; round++) {
          const changes: Given[] = [
            {
              put: (["a", "b", "c"] as const)[round % 3]!,
              text: `${round} ${"-".repeat(60)}`,
              blobs: round % 4 === 0 ? ["x".repeat(90)] : [],
            },
          ];
          if (round % 3 === 1) changes.push({ add: "b", text: `member ${round}`, blobs: [] });
          if (round % 7 === 6) changes.push({ delete: "a" });
          asked = copy(confirmed);
          apply(asked, changes);
          await commit(log, changes);
          confirmed = asked;
        }
        await log.compacted();
        await log.close();
        ended = files.calls.length < crashAt;
      } catch {
        // crashed
      }
      const random = fc.sample(fc.boolean(), { numRuns: 6000, seed: crashAt });
      for (const pick of [() => false, () => true, () => random.pop() ?? false]) {
        const log = await open(files.crashed(pick));
        const content = sorted(await contentOf(log));
        const [before, after] = [sorted(naive(confirmed)), sorted(naive(asked))];
        expect([before, after]).toContainEqual(content);
        await log.close();
      }
    }
  });

  it("takes for 400 versions of one value no more than for a few", async () => {
    const files = LossyFiles.empty();
    const log = await open(files, { segmentBytes: 1 << 20, spareBytes: 4096 });
    for (let version = 0; version < 400; version++)
      await log.commit([{ put: "passage", value: Buffer.from(`${version} ${"word ".repeat(100)}`) }]);
    await log.compacted();
    expect(files.bytes).toBeLessThan(8 * 530 + 4096);
    expect(String(await log.get("passage"))).toMatch(/^399 /);
    await log.close();
  });

  it("keeps equal blobs once", async () => {
    const files = LossyFiles.empty();
    const log = await open(files, { segmentBytes: 1 << 20 });
    const blob = Buffer.alloc(10_000, "v");
    const hash = blobHash(blob);
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        log.commit([{ put: `run ${index}`, value: Buffer.from("{}"), blobs: [hash] }], new Map([[hash, blob]])),
      ),
    );
    expect(files.bytes).toBeLessThan(10_000 + 50 * 100 + 200);
    await Promise.all(Array.from({ length: 49 }, (_, index) => log.commit([{ delete: `run ${index}` }])));
    expect(await log.blob(hash)).toEqual(blob);
    await log.commit([{ delete: "run 49" }]);
    expect(await log.blob(hash)).toBeUndefined();
    await log.close();
  });
});
