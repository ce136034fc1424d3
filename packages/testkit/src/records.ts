// public: RecordsUnderTest, kept, testRecords
import { describe, expect, it } from "@jest/globals";
import type { Records, RunRecord } from "@tessera/core";
import { type JournalEntry, sha256, type Texts } from "@tessera/core/internal";

export interface RecordsUnderTest {
  /** Opens empty records. */
  readonly fresh: () => Promise<Records>;
  /** Opens what those that were opened last have kept; left out where nothing outlives them. */
  readonly again?: () => Promise<Records>;
}

/** Refs and texts of values that are kept by content hash, by port. */
export function kept(values: Readonly<Record<string, string>>): { refs: Record<string, string>; texts: Texts } {
  const hashed = Object.entries(values).map(([port, text]) => [port, sha256(text), text] as const);
  return {
    refs: Object.fromEntries(hashed.map(([port, hash]) => [port, `#${hash}`])),
    texts: new Map(hashed.map(([, hash, text]) => [hash, text])),
  };
}

const runOf = (id: string, more: Partial<RunRecord> = {}): RunRecord => ({
  id,
  flow: "f",
  hash: "h",
  document: {},
  operators: { "test.one": 1 },
  seed: 1,
  input: {},
  claim: `claim of ${id}`,
  ...more,
});

const entryOf = (path: string, more: Partial<JournalEntry> = {}): JournalEntry => ({
  path,
  operator: "test.one",
  version: 1,
  input: "i",
  output: {},
  ...more,
});

const one = { calls: 1, tokens: 10, layers: 0, cost: 0.5 };
const none: Texts = new Map();
const conflict = expect.objectContaining({ code: "CONFLICT" });

/** The conformance suite of records. */
export function testRecords(name: string, { fresh, again }: RecordsUnderTest): void {
  describe(`${name} meets the contract of records`, () => {
    /** What was written is asked for in a new life, where there is one. */
    const later = async (records: Records): Promise<Records> => (again ? again() : records);

    it("keeps what a run was started with", async () => {
      const records = await fresh();
      expect(await records.run("r")).toBeUndefined();
      const { refs, texts } = kept({ a: '"a\\u0000b\\ud800\'; DROP TABLE x"', b: `"${"long ".repeat(10_000)}"` });
      const run = runOf("r", { input: refs, document: { document: "=1" }, principal: { id: "ann" } });
      await records.begin(run, texts);
      const opened = await later(records);
      expect(await opened.run("r")).toEqual(run);
      expect(await opened.texts([...texts.keys(), sha256("other")])).toEqual(texts);
    });

    it("an id is taken once: by the claim that came first", async () => {
      const records = await fresh();
      const other = { claim: "another", seed: 2 };
      await records.begin(runOf("r"), none);
      await records.begin(runOf("r"), none); // the answer to the first call was lost
      await expect(records.begin(runOf("r", other), none)).rejects.toEqual(conflict);
      const opened = await later(records);
      await expect(opened.begin(runOf("r", other), none)).rejects.toEqual(conflict);
      expect(await opened.run("r")).toEqual(runOf("r"));
      const many = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => opened.begin(runOf("s", { claim: `c${i}` }), none)),
      );
      const [winner] = many.flatMap(({ status }, i) => (status === "fulfilled" ? [`c${i}`] : []));
      expect(many.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect((await opened.run("s"))?.claim).toBe(winner);
    });

    it("journals by run and path; charges of attempts add up, each once", async () => {
      const records = await fresh();
      for (const id of ["r", "other"]) await records.begin(runOf(id), none);
      const entries = Array.from({ length: 20 }, (_, i) => {
        const { refs, texts } = kept({ value: `"${i} ${"x".repeat(200)}"` });
        const charged = { ...one, calls: i };
        return { entry: entryOf(`f/n[${i}]`, { output: refs, key: `k${i}`, streamed: ["value"], charged }), texts };
      });
      const noted = await Promise.all(entries.map(({ entry, texts }) => records.commit("r", entry, texts)));
      expect(noted).toEqual(entries.map(({ entry }) => entry));
      await records.commit("r", entryOf("f/left", { operator: "", skipped: true }), none);
      await records.charge("r", "life.1", one);
      await records.charge("r", "life.2", one);
      await records.charge("r", "life.2", { ...one, calls: 5 });
      const opened = await later(records);
      const journal = await opened.journal("r");
      expect([...journal.entries.keys()].sort()).toEqual(
        [...entries.map(({ entry: { path } }) => path), "f/left"].sort(),
      );
      for (const { entry } of entries) expect(journal.entries.get(entry.path)).toEqual(entry);
      expect(journal).toMatchObject({ attempts: 2, charged: { calls: 6, tokens: 20, layers: 0, cost: 1 } });
      const nothing = { entries: new Map(), attempts: 0, charged: { calls: 0, tokens: 0, layers: 0, cost: 0 } };
      expect(await opened.journal("other")).toEqual(nothing);
      expect(await opened.journal("nobody")).toEqual(nothing);
    });

    it("the first entry for a path stands, unless it is provisional or of another operator", async () => {
      const records = await fresh();
      await records.begin(runOf("r"), none);
      const [first, second] = [kept({ v: `"${"1".repeat(200)}"` }), kept({ v: `"${"2".repeat(200)}"` })];
      const entry = (path: string, { refs }: typeof first, more = {}) => entryOf(path, { output: refs, ...more });
      expect(await records.commit("r", entry("f/a", first), first.texts)).toEqual(entry("f/a", first));
      expect(await records.commit("r", entry("f/a", second), second.texts)).toEqual(entry("f/a", first));
      await records.commit("r", entry("f/b", first, { provisional: true }), first.texts);
      expect(await records.commit("r", entry("f/b", second), second.texts)).toEqual(entry("f/b", second));
      const other = { operator: "test.two" };
      await records.commit("r", entry("f/c", first), first.texts);
      expect(await records.commit("r", entry("f/c", second, other), second.texts)).toEqual(entry("f/c", second, other));
      const noted = await Promise.all(
        [first, second].map((given) => records.commit("r", entry("f/d", given), given.texts)),
      );
      expect(noted[1]).toEqual(noted[0]);
      const opened = await later(records);
      const { entries } = await opened.journal("r");
      expect(entries.get("f/a")).toEqual(entry("f/a", first));
      expect(entries.get("f/b")).toEqual(entry("f/b", second));
      expect(entries.get("f/c")).toEqual(entry("f/c", second, other));
      expect(entries.get("f/d")).toEqual(noted[0]);
      expect((await opened.texts([...first.texts.keys(), ...second.texts.keys()])).size).toBe(2);
    });

    it("nothing is noted of a run that is not known", async () => {
      const records = await fresh();
      const missing = expect.objectContaining({ code: "RECORD_MISSING" });
      await expect(records.commit("nobody", entryOf("f/a"), none)).rejects.toEqual(missing);
      await expect(records.charge("nobody", "1", one)).rejects.toEqual(missing);
      const unsafe = expect.objectContaining({ code: "BAD_ARGUMENT" });
      await expect(records.run("../../etc")).rejects.toEqual(unsafe);
      await expect(records.begin(runOf("a/b"), none)).rejects.toEqual(unsafe);
    });

    it("forgets runs and the texts that no other run names, and the id is free again", async () => {
      const records = await fresh();
      const [both, input, onlyA] = ["both", "input", "only a"].map((word) => kept({ v: `"${word.repeat(40)}"` }));
      for (const id of ["a", "b"]) await records.begin(runOf(id, { input: input!.refs }), input!.texts);
      for (const id of ["a", "b"]) await records.commit(id, entryOf("f/x", { output: both!.refs }), both!.texts);
      await records.commit("a", entryOf("f/y", { output: onlyA!.refs }), onlyA!.texts);
      await records.charge("a", "1", one);
      await records.forget(["a", "nobody"]);
      const opened = await later(records);
      expect(await opened.run("a")).toBeUndefined();
      expect((await opened.journal("a")).entries.size).toBe(0);
      expect(await opened.texts([...both!.texts.keys(), ...input!.texts.keys(), ...onlyA!.texts.keys()])).toEqual(
        new Map([...both!.texts, ...input!.texts]),
      );
      await opened.begin(runOf("a", { claim: "new" }), none);
      expect(await opened.journal("a")).toMatchObject({ attempts: 0, charged: { calls: 0 } });
      await opened.forget(["b"]);
      expect((await opened.texts([...both!.texts.keys(), ...input!.texts.keys()])).size).toBe(0);
    });

    it("keeps a text that one run forgets while another names it", async () => {
      const records = await fresh();
      for (let round = 0; round < 5; round++) {
        const { refs, texts } = kept({ v: `"${"shared".repeat(40)}"` });
        for (const id of ["old", "new"]) await records.begin(runOf(id, { claim: `${id} ${round}` }), none);
        await records.commit("old", entryOf("f/x", { output: refs }), texts);
        await Promise.all([records.forget(["old"]), records.commit("new", entryOf("f/x", { output: refs }), texts)]);
        expect(await records.texts([...texts.keys()])).toEqual(texts);
        await records.forget(["new"]);
      }
    });

    it("finds runs that wait by their time and by whose they are, also after a restart", async () => {
      const records = await fresh();
      const notes = records.waits!;
      expect([await notes.next(), await notes.due(1e15, 9), await notes.list({ limit: 9 })]).toEqual([
        undefined,
        [],
        [],
      ]);
      const note = (run: string, since: number, more: object = {}) => ({
        run,
        flow: "f",
        since,
        paths: ["f/ask"],
        ...more,
      });
      for (const id of ["a", "b", "c", "d"]) await records.begin(runOf(id), none);
      await notes.note(note("a", 4, { due: 50, principal: "ann" }));
      await notes.note(note("b", 3, { due: 20 }));
      await notes.note(note("c", 2, { principal: "ann", flow: "g" }));
      await notes.note(note("d", 1, { due: 0 }));
      await notes.note(note("b", 3, { due: 80 })); // in place of the one before
      const opened = (await later(records)).waits!;
      expect(await opened.next()).toBe(50);
      expect(await opened.left()).toEqual(["d"]);
      expect(await opened.due(49, 9)).toEqual([]);
      for (let i = 0; i < 2; i++) expect(await opened.due(80, 9)).toEqual(["a", "b"]);
      expect(await opened.due(80, 1)).toEqual(["a"]);
      expect(await opened.get("b")).toEqual(note("b", 3, { due: 80 }));
      const listed = async (query: object) => (await opened.list({ limit: 9, ...query })).map(({ run }) => run);
      expect(await listed({})).toEqual(["d", "c", "b", "a"]);
      expect(await listed({ limit: 2 })).toEqual(["d", "c"]);
      expect(await listed({ principal: "ann" })).toEqual(["c", "a"]);
      expect(await listed({ principal: "ann", flow: "f" })).toEqual(["a"]);
      await opened.remove("d");
      await opened.remove("nobody");
      expect(await opened.left()).toEqual([]);
      const last = await later(records);
      await last.forget(["a"]);
      expect(await last.waits!.due(1e15, 9)).toEqual(["b"]);
      expect(await last.waits!.get("a")).toBeUndefined();
    });

    it("keeps that a step waits until one end of it is kept", async () => {
      const records = await fresh();
      await records.begin(runOf("r"), none);
      const wait = { since: 5, answer: "text", due: 9 } as const;
      const asked = entryOf("f/ask", { provisional: true, wait });
      const ended = (id: string) => entryOf("f/ask", { wait: { ...wait, ended: { by: "answer", at: 7, id } } });
      await records.commit("r", asked, none);
      expect((await records.journal("r")).entries.get("f/ask")).toEqual(asked);
      const ends = await Promise.all(["1", "2"].map((id) => records.commit("r", ended(id), none)));
      expect(ends[1]).toEqual(ends[0]);
      expect(await records.commit("r", asked, none)).toEqual(ends[0]);
      expect((await (await later(records)).journal("r")).entries.get("f/ask")).toEqual(ends[0]);
    });

    it("keeps texts by key, for a cache", async () => {
      const records = await fresh();
      expect(await records.get("abc")).toBeUndefined();
      await records.put("abc", "one");
      await records.put("abc", "two");
      expect(await (await later(records)).get("abc")).toBe("two");
    });
  });
}
