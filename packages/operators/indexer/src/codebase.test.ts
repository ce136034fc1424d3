import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import fc from "fast-check";
import { Codebase, codeChunker, type Generation, type Participant, type Progress } from "./codebase.js";
import { chunkCode } from "./outline.js";

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

function fresh(): { root: string; index: string } {
  const folder = mkdtempSync(join(tmpdir(), "tessera-codebase-"));
  made.push(folder);
  mkdirSync(join(folder, "root"));
  return { root: join(folder, "root"), index: join(folder, "index") };
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** Long enough that times of files made before are trusted. */
const settle = () => delay(150);

/** A participant that keeps ids and words as a store would, and counts what it had to embed. */
function mirror(revision = "1"): Participant & { embedded: number; last: Generation | undefined } {
  return {
    name: "mirror",
    revision,
    embedded: 0,
    last: undefined,
    async write(generation) {
      const { folder, previous, added, changed, moved, removed, progress } = generation;
      const kept = new Map<string, Passage>(
        previous ? JSON.parse(readFileSync(join(previous, "all.json"), "utf8")) : [],
      );
      for (const id of removed) expect(kept.delete(id)).toBe(true);
      for (const passage of [...changed, ...moved]) expect(kept.has(passage.id)).toBe(true);
      for (const passage of added) expect(kept.has(passage.id)).toBe(false);
      for (const passage of [...added, ...changed, ...moved]) kept.set(passage.id, passage);
      expect([...kept.values()].map(({ id }) => id).sort()).toEqual(
        generation
          .passages()
          .map(({ id }) => id)
          .sort(),
      );
      this.embedded += added.length + changed.length;
      this.last = generation;
      progress(kept.size, kept.size);
      writeFileSync(join(folder, "all.json"), JSON.stringify([...kept]));
    },
  };
}

const mirrored = (codebase: Codebase): Passage[] =>
  (JSON.parse(readFileSync(join(codebase.folderOf("mirror"), "all.json"), "utf8")) as [string, Passage][]).map(
    ([, passage]) => passage,
  );
const byId = (passages: Passage[]) => [...passages].sort((a, b) => (a.id < b.id ? -1 : 1));

const functionOf = (name: string, value: number) => `export function ${name}() {\n  return ${value};\n}\n`;

describe("Codebase", () => {
  it("indexes a folder, and opens what it wrote", async () => {
    const { root, index } = fresh();
    put(root, "src/a.ts", `${functionOf("one", 1)}\n${functionOf("two", 2)}`);
    put(root, "README.md", "# Title\n\nWords.\n");
    put(root, "blob", "\0");
    const stages: Progress[] = [];
    const { codebase, report } = await Codebase.update(index, {
      root,
      participants: [mirror()],
      progress: (step) => stages.push(step),
    });
    expect(report).toEqual({
      seen: 3,
      read: 3,
      changed: 2,
      removed: 0,
      passages: { added: 3, changed: 0, moved: 0, removed: 0 },
      skipped: [{ path: "blob", reason: "binary" }],
    });
    const opened = await Codebase.open(index);
    expect(opened.files).toEqual(["README.md", "src/a.ts"]);
    expect(opened.root).toBe(root);
    expect((await opened.passages()).map(({ id }) => id)).toEqual(["README.md#title", "src/a.ts#one", "src/a.ts#two"]);
    expect(byId(mirrored(opened))).toEqual(byId(await opened.passages()));
    expect(opened.revision).toBe(codebase.revision);
    expect([...new Set(stages.map(({ stage }) => stage))]).toEqual(["list", "read", "chunk", "mirror"]);
    expect(readdirSync(index)).not.toContain("lock");
    expect(() => opened.folderOf("vectors")).toThrow(expect.objectContaining({ code: "INDEX_MISSING" }));
  });

  it("reads only what changed, embeds only what has other words, and forgets what is gone", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", `${functionOf("one", 1)}\n${functionOf("two", 2)}`);
    put(root, "b.ts", functionOf("three", 3));
    put(root, "c.ts", functionOf("four", 4));
    put(root, "blob", "\0");
    await settle();
    const participant = mirror();
    const update = async () => (await Codebase.update(index, { root, participants: [participant] })).report;
    await update();
    const before = readFileSync(join(index, "index.json"), "utf8");
    expect(await update()).toMatchObject({ seen: 4, read: 0, skipped: [{ path: "blob", reason: "binary" }] });
    expect(readFileSync(join(index, "index.json"), "utf8")).toBe(before);

    participant.embedded = 0;
    put(root, "a.ts", `// a new line above\n\n${functionOf("one", 1)}\n${functionOf("two", 20)}`);
    rmSync(join(root, "b.ts"));
    await settle();
    expect(await update()).toMatchObject({
      seen: 3,
      read: 1,
      changed: 1,
      removed: 1,
      passages: { added: 1, changed: 1, moved: 1, removed: 1 },
    });
    expect(participant.embedded).toBe(2);
    expect(participant.last!.moved[0]).toMatchObject({ id: "a.ts#one", source: { lines: [3, 5] } });
    expect((await (await Codebase.open(index)).passages()).map(({ id }) => id)).not.toContain("b.ts#three");

    // touched, but the same: read once more, and no new generation
    const { revision } = await Codebase.open(index);
    utimesSync(join(root, "c.ts"), new Date(), new Date());
    await settle();
    expect(await update()).toMatchObject({ read: 1, changed: 0 });
    expect(await update()).toMatchObject({ read: 0 });
    expect((await Codebase.open(index)).revision).toBe(revision);
  });

  it("sees a change that leaves size and times the same, when it follows at once", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    await Codebase.update(index, { root });
    put(root, "a.ts", functionOf("one", 2));
    expect((await Codebase.update(index, { root })).report.passages.changed).toBe(1);
  });

  it("cuts again when the chunker changed, and begins a participant anew when its revision did", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", Array.from({ length: 30 }, (_, i) => functionOf(`f${i}`, i)).join("\n"));
    put(
      root,
      "b.ts",
      `class A {\n${Array.from({ length: 15 }, (_, i) => `  m${i}() {\n    return ${i};\n  }`).join("\n")}\n}\n`,
    );
    await settle();
    await Codebase.update(index, { root, participants: [mirror()] });
    const smaller = await Codebase.update(index, {
      root,
      participants: [mirror()],
      chunker: codeChunker({ maximum: 32 }),
    });
    expect(smaller.report.read).toBe(2);
    expect(smaller.report.passages).toMatchObject({ removed: 0 });
    expect(smaller.report.passages.added).toBe(15);
    expect(smaller.report.rebuilt).toMatch(/files are chosen or cut in another way$/);
    const next = mirror("2");
    const again = await Codebase.update(index, { root, participants: [next], chunker: codeChunker({ maximum: 32 }) });
    expect(again.report.rebuilt).toMatch(/mirror hold other words or vectors$/);
    const same = await Codebase.update(index, {
      root,
      participants: [mirror("2")],
      chunker: codeChunker({ maximum: 32 }),
    });
    expect(same.report.rebuilt).toBeUndefined();
    expect(next.last!.previous).toBeUndefined();
    expect(next.embedded).toBe((await again.codebase.passages()).length);
  });

  it("does not take the times of another folder for its own", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    await settle();
    await Codebase.update(index, { root });
    const other = fresh().root;
    cpSync(join(root, "a.ts"), join(other, "a.ts"), { preserveTimestamps: true });
    const { report, codebase } = await Codebase.update(index, { root: other });
    expect(report).toMatchObject({ read: 1, changed: 0 });
    expect(codebase.root).toBe(other);
  });

  it("after any edits is what a new index would be, and tells participants exactly that", async () => {
    const path = fc.constantFrom("a.ts", "b.md", "c/d.py", "c/e.ts", "c/f/g.txt");
    const line = fc.constantFrom(
      "function f() {",
      "  return 1;",
      "}",
      "# h",
      "words",
      "",
      "class A:",
      "    def m(self): pass",
      "\0",
    );
    const content = fc.array(line, { maxLength: 12 }).map((lines) => lines.join("\n"));
    const edit = fc.oneof(
      { weight: 4, arbitrary: fc.record({ path, content }) },
      { weight: 1, arbitrary: fc.record({ path, remove: fc.constant(true) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(edit, { maxLength: 4 }), { minLength: 2, maxLength: 4 }), async (rounds) => {
        const { root, index } = fresh();
        for (const edits of rounds) {
          for (const change of edits)
            if ("content" in change) put(root, change.path, change.content);
            else rmSync(join(root, change.path), { force: true });
          const { codebase } = await Codebase.update(index, { root, participants: [mirror()] });
          const expected: Passage[] = [];
          for (const file of ["a.ts", "b.md", "c/d.py", "c/e.ts", "c/f/g.txt"].sort()) {
            if (!existsSync(join(root, file))) continue;
            const text = readFileSync(join(root, file), "utf8");
            if (!text.includes("\0"))
              expected.push(...(await chunkCode({ id: file, text, metadata: {} }, { maximum: 400 })));
          }
          const strip = (passages: Passage[]) =>
            byId(passages).map(({ id, text, source, parent }) => ({ id, text, source, parent }));
          expect(strip(await codebase.passages())).toEqual(strip(expected));
          expect(byId(mirrored(codebase))).toEqual(byId(await codebase.passages()));
        }
        expect(readdirSync(index).filter((name) => name.startsWith("generation-")).length).toBeLessThanOrEqual(2);
      }),
      { numRuns: 25 },
    );
  });
});

it("does not index itself where it is kept inside the folder", async () => {
  const { root } = fresh();
  put(root, "a.ts", functionOf("one", 1));
  const index = join(root, "[x] #1/index");
  await Codebase.update(index, { root });
  const { codebase, report } = await Codebase.update(index, { root });
  expect(report.seen).toBe(1);
  expect(codebase.files).toEqual(["a.ts"]);
});

it("an empty file that goes away leaves the passages of others where they are", async () => {
  const { root, index } = fresh();
  put(root, "a.py", "");
  put(root, "b.ts", functionOf("one", 1));
  await Codebase.update(index, { root });
  rmSync(join(root, "a.py"));
  await Codebase.update(index, { root });
  put(root, "b.ts", functionOf("two", 1));
  const { codebase } = await Codebase.update(index, { root });
  expect((await codebase.passages()).map(({ id }) => id)).toEqual(["b.ts#two"]);
  put(root, "b.ts", "");
  expect((await Codebase.update(index, { root })).report.passages).toEqual({
    added: 0,
    changed: 0,
    moved: 0,
    removed: 1,
  });
});

describe("a damaged index", () => {
  async function built() {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    await Codebase.update(index, { root, participants: [mirror()] });
    return { root, index };
  }

  it("is missing where there is none", async () => {
    await expect(Codebase.open(fresh().index)).rejects.toMatchObject({ code: "INDEX_MISSING" });
    const { root } = fresh();
    await expect(Codebase.open(root)).rejects.toMatchObject({ code: "INDEX_MISSING", hint: expect.any(String) });
  });

  it("is found out whichever byte is wrong, and can be built again", async () => {
    const { root, index } = await built();
    const files = readdirSync(index, { recursive: true, encoding: "utf8" }).filter((path) =>
      statSync(join(index, path)).isFile(),
    );
    expect(files.length).toBe(3);
    for (const file of files) {
      const path = join(index, file);
      const whole = readFileSync(path);
      for (let at = 0; at < whole.length; at += Math.max(1, Math.floor(whole.length / 40))) {
        const damaged = Buffer.from(whole);
        damaged[at]! ^= 1;
        writeFileSync(path, damaged);
        await expect(Codebase.open(index)).rejects.toMatchObject({
          code: "INDEX_CORRUPT",
          hint: expect.stringContaining("again"),
        });
      }
      writeFileSync(path, whole.subarray(0, whole.length / 2));
      await expect(Codebase.update(index, { root })).rejects.toMatchObject({ code: "INDEX_CORRUPT" });
      rmSync(path);
      await expect(Codebase.open(index)).rejects.toMatchObject({
        code: file === "index.json" ? "INDEX_MISSING" : "INDEX_CORRUPT",
      });
      writeFileSync(path, whole);
    }
    await Codebase.open(index);
    writeFileSync(join(index, "index.json"), "{");
    const { codebase } = await Codebase.update(index, { root, rebuild: true });
    expect((await (await Codebase.open(index)).passages()).length).toBe(1);
    expect(readdirSync(index).sort()).toEqual([codebase.revision, "index.json"]);
  });

  it("of a later format says so", async () => {
    const { index } = await built();
    const manifest = JSON.parse(readFileSync(join(index, "index.json"), "utf8"));
    writeFileSync(join(index, "index.json"), JSON.stringify({ ...manifest, format: 99 }));
    await expect(Codebase.open(index)).rejects.toMatchObject({
      code: "INDEX_CORRUPT",
      message: expect.stringContaining("format 99"),
    });
  });
});

describe("an update that does not come to its end", () => {
  it("leaves the old index where a participant, the chunker, or an abort ends it", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    await Codebase.update(index, { root, participants: [mirror()] });
    const before = readdirSync(index, { recursive: true }).sort();
    put(root, "b.ts", functionOf("two", 2));
    const failing: Participant = {
      name: "mirror",
      revision: "1",
      write: async () => Promise.reject(new Error("disk on fire")),
    };
    await expect(Codebase.update(index, { root, participants: [failing] })).rejects.toMatchObject({
      code: "STORE_FAILED",
      message: expect.stringContaining("disk on fire"),
    });
    const chunker = { revision: "x", chunk: () => Promise.reject(new Error("cannot cut")) };
    await expect(Codebase.update(index, { root, chunker })).rejects.toMatchObject({ code: "STORE_FAILED" });
    const controller = new AbortController();
    const aborting: Participant = { name: "mirror", revision: "1", write: async () => controller.abort() };
    await expect(
      Codebase.update(index, { root, participants: [aborting], signal: controller.signal }),
    ).rejects.toMatchObject({ name: "AbortError" });
    expect(readdirSync(index, { recursive: true }).sort()).toEqual(before);
    expect((await (await Codebase.open(index)).passages()).length).toBe(1);
  });

  it("refuses two passages of one id, and participants of one name", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    const chunk = (document: Passage) => [document, document];
    await expect(Codebase.update(index, { root, chunker: { revision: "x", chunk } })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
    await expect(Codebase.update(index, { root, participants: [mirror(), mirror()] })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
    await expect(Codebase.open(index)).rejects.toMatchObject({ code: "INDEX_MISSING" });
  });

  it("a folder that is not there is an error, and makes no index", async () => {
    const { index } = fresh();
    await expect(Codebase.update(index, { root: "/no/such/root" })).rejects.toMatchObject({ code: "BAD_SOURCE" });
    await expect(Codebase.open(index)).rejects.toMatchObject({ code: "INDEX_MISSING" });
  });
});

describe("two writers", () => {
  it("one gets an error, the other the index", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    const both = await Promise.allSettled([1, 2, 3].map(() => Codebase.update(index, { root })));
    expect(both.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of both)
      if (result.status === "rejected")
        expect(result.reason).toMatchObject({ code: "INDEX_LOCKED", hint: expect.stringContaining("lock") });
    await Codebase.open(index);
  });

  const owner = { token: "t", host: hostname(), started: null, pid: process.pid };
  const lockedBy = async (content: string, age = 0) => {
    const { root, index } = fresh();
    mkdirSync(index);
    writeFileSync(join(index, "lock"), content);
    const time = new Date(Date.now() - age);
    utimesSync(join(index, "lock"), time, time);
    return Codebase.update(index, { root }).then(
      () => "taken over",
      (error: { code: string }) => error.code,
    );
  };

  it("takes over the lock of a process that is gone, and no other", async () => {
    expect(await lockedBy(JSON.stringify({ ...owner, pid: 2 ** 22 + 1 }))).toBe("taken over");
    expect(await lockedBy(JSON.stringify(owner))).toBe("INDEX_LOCKED");
    expect(await lockedBy(JSON.stringify({ ...owner, host: "elsewhere", pid: 2 ** 22 + 1 }))).toBe("INDEX_LOCKED");
    expect(await lockedBy(JSON.stringify({ ...owner, host: "elsewhere" }), 700_000)).toBe("taken over");
    expect(await lockedBy("")).toBe("INDEX_LOCKED");
    expect(await lockedBy("", 20_000)).toBe("taken over");
    if (existsSync("/proc/self/stat"))
      expect(await lockedBy(JSON.stringify({ ...owner, started: "1" }))).toBe("taken over");
  });

  it("one whose lock was taken while it worked does not write", async () => {
    const { root, index } = fresh();
    put(root, "a.ts", functionOf("one", 1));
    await Codebase.update(index, { root });
    put(root, "a.ts", functionOf("one", 2));
    const thief: Participant = {
      name: "thief",
      revision: "1",
      write: async () => writeFileSync(join(index, "lock"), JSON.stringify({ ...owner, token: "thief" })),
    };
    await expect(Codebase.update(index, { root, participants: [thief] })).rejects.toMatchObject({
      code: "INDEX_LOCKED",
    });
    expect((await (await Codebase.open(index)).passages())[0]!.text).toContain("return 1");
    expect(readFileSync(join(index, "lock"), "utf8")).toContain("thief");
  });
});
