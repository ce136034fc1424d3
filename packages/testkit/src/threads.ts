// public: ThreadsUnderTest, testThreads
import { describe, expect, it } from "@jest/globals";
import type { ThreadEnd, ThreadName, ThreadState, ThreadStore, ThreadTurn } from "@tessera/core/internal";
import fc from "fast-check";

export interface ThreadsUnderTest {
  /** Opens an empty store. */
  readonly fresh: () => Promise<ThreadStore>;
  /** Opens what the one that was opened last has kept; left out where nothing outlives it. */
  readonly again?: () => Promise<ThreadStore>;
  /** How many random histories are compared. */
  readonly histories: number;
}

const turnOf = (run: string, more: Partial<ThreadTurn> = {}): ThreadTurn => ({
  run,
  flow: "chat",
  user: `question of ${run}`,
  assistant: `answer of ${run}`,
  at: 5,
  ...more,
});

const mine: ThreadName = { owner: "ann", id: "t" };
const hold = (run: string, more = {}) => ({ run, flow: "chat", since: 1, ...more });

/** Opens and closes. */
async function said(store: ThreadStore, name: ThreadName, run: string, end: Partial<ThreadEnd> = {}): Promise<void> {
  expect((await store.open(name, hold(run))).how).toBe("opened");
  await store.close(name, run, { turn: turnOf(run), ...end });
}

type Step =
  | {
      readonly do: "open";
      readonly thread: number;
      readonly run: number;
      readonly again: boolean;
      readonly instead: number;
    }
  | {
      readonly do: "close";
      readonly thread: number;
      readonly run: number;
      readonly said: boolean;
      readonly sum: boolean;
    }
  | { readonly do: "remove"; readonly thread: number };

const small = fc.nat({ max: 2 });
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("open" as const),
      thread: small,
      run: fc.nat({ max: 4 }),
      again: fc.boolean(),
      instead: fc.nat({ max: 9 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("close" as const),
      thread: small,
      run: fc.nat({ max: 4 }),
      said: fc.boolean(),
      sum: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), thread: small }) },
);

/** Two owners; the ids of their threads are the same. */
const names: readonly ThreadName[] = [
  { owner: "ann", id: "t" },
  { owner: "", id: "t" },
  { owner: "ann", id: "u" },
];

/** What a thread comes to, said as plainly as can be: a list of turns, and who works on it. */
class Twin {
  turns: { run: string; text: string }[] = [];
  holder: string | undefined;
  summary: string | undefined;

  open(run: string, again: boolean, instead: string): string {
    if (again && this.turns.some((turn) => turn.run === run)) return "ended";
    if (this.holder === run) return "held";
    if (this.holder !== undefined && this.holder !== instead) return "busy";
    this.holder = run;
    return "opened";
  }

  /** @returns whether the thread is still there */
  close(run: string, text: string | undefined, summary: string | undefined): boolean {
    if (this.holder !== run) {
      const last = this.turns.findLast((turn) => turn.run === run);
      if (last && text !== undefined) last.text = text;
      return true;
    }
    this.holder = undefined;
    if (text === undefined) return this.turns.length > 0;
    if (summary !== undefined && this.turns.length > 0) this.summary = `${summary} ${this.turns.length}`;
    this.turns.push({ run, text });
    return true;
  }
}

/** What a store says of a thread, as the twin says it. */
async function seen(store: ThreadStore, name: ThreadName) {
  const thread = await store.get(name);
  const turns = (await store.turns(name, { limit: 1000 })).map(({ run, assistant }) => ({ run, text: assistant }));
  if (!thread) return { turns };
  const { open, summary } = thread;
  expect(thread.turns).toBe(turns.length);
  return { turns, holder: open?.run, summary: summary && `${summary.text} ${summary.turns}` };
}

/** The conformance suite of stores of threads. */
export function testThreads(name: string, { fresh, again, histories }: ThreadsUnderTest): void {
  describe(`${name} meets the contract of threads`, () => {
    /** What was written is asked for in a new life, where there is one. */
    const later = async (store: ThreadStore): Promise<ThreadStore> => (again ? again() : store);

    it("keeps turns in their order, and gives them in parts", async () => {
      const store = await fresh();
      const runs = Array.from({ length: 150 }, (_, number) => `r${number}`);
      for (const run of runs) await said(store, mine, run);
      const opened = await later(store);
      const read = async (query: { limit: number; before?: number }) =>
        (await opened.turns(mine, query)).map(({ run }) => run);
      expect(await read({ limit: 1000 })).toEqual(runs);
      expect(await read({ limit: 3 })).toEqual(runs.slice(-3));
      expect(await read({ limit: 70, before: 130 })).toEqual(runs.slice(60, 130));
      expect(await read({ limit: 5, before: 2 })).toEqual(runs.slice(0, 2));
      expect(await opened.turns({ owner: "bob", id: "t" }, { limit: 9 })).toEqual([]);
      expect(await opened.get(mine)).toEqual({ ...mine, started: 1, changed: 5, turns: 150, flows: ["chat"] });
    });

    it("keeps every text, and every owner apart", async () => {
      const store = await fresh();
      const texts = ["", "\u0000 '; DROP TABLE x", "\ud800", "a\nuser: b", "long ".repeat(20_000)];
      const owners = ["", "ann", "a\u0000b", "\ud800", "ann/t", "'"];
      for (const owner of owners)
        for (const text of texts) {
          const run = `r${texts.indexOf(text)}`;
          const turn = turnOf(run, { user: text, assistant: `${owner}${text}` });
          await said(store, { owner, id: "t" }, run, { turn, summary: text || "none" });
        }
      const opened = await later(store);
      for (const owner of owners) {
        const turns = await opened.turns({ owner, id: "t" }, { limit: 9 });
        expect(turns.map(({ user }) => user)).toEqual(texts);
        expect(turns.map(({ assistant }) => assistant)).toEqual(texts.map((text) => `${owner}${text}`));
        expect((await opened.list({ owner, limit: 9 })).map(({ id }) => id)).toEqual(["t"]);
        expect((await opened.get({ owner, id: "t" }))?.summary).toEqual({
          text: texts.at(-1),
          turns: texts.length - 1,
        });
      }
    });

    it("lets one run work on a thread, of all that ask at the same moment", async () => {
      const store = await fresh();
      for (let round = 0; round < 5; round++) {
        const runs = Array.from({ length: 8 }, (_, i) => `r${round}-${i}`);
        const opened = await Promise.all(runs.map((run) => store.open(mine, hold(run))));
        const winners = runs.filter((_, i) => opened[i]!.how === "opened");
        expect(winners).toHaveLength(1);
        expect(new Set(opened.map(({ thread }) => thread.open?.run))).toEqual(new Set(winners));
        await Promise.all(runs.map((run) => store.close(mine, run, { turn: turnOf(run) })));
        expect((await store.turns(mine, { limit: 1 }))[0]?.run).toBe(winners[0]);
        expect((await store.get(mine))?.turns).toBe(round + 1);
      }
    });

    it("takes a turn once, also where the answer was lost or two workers end the same run", async () => {
      const store = await fresh();
      await said(store, mine, "a");
      await Promise.all([1, 2, 3].map(() => store.close(mine, "a", { turn: turnOf("a") })));
      await said(store, mine, "b");
      await store.close(mine, "a", { turn: turnOf("a", { assistant: "more of it" }) });
      const opened = await later(store);
      expect((await opened.turns(mine, { limit: 9 })).map(({ assistant }) => assistant)).toEqual([
        "more of it",
        "answer of b",
      ]);
      expect(await opened.open(mine, hold("a"), { again: true })).toMatchObject({ how: "ended" });
      expect((await opened.get(mine))?.open).toBeUndefined();
    });

    it("keeps nothing of a run that does not have the thread, and no thread without a turn", async () => {
      const store = await fresh();
      await store.open(mine, hold("a"));
      await store.close(mine, "stranger", { turn: turnOf("stranger") });
      expect(await store.get(mine)).toMatchObject({ turns: 0, open: { run: "a" } });
      await store.close(mine, "a");
      expect(await store.get(mine)).toBeUndefined();
      expect(await store.count("ann")).toBe(0);
      // deleted while a run works on it, and begun anew by another
      await store.open(mine, hold("b"));
      expect(await store.remove(mine)).toBe(true);
      expect(await store.remove(mine)).toBe(false);
      await store.open(mine, hold("c"));
      await store.close(mine, "b", { turn: turnOf("b") });
      expect(await (await later(store)).get(mine)).toMatchObject({ turns: 0, open: { run: "c" } });
    });

    it("lists the threads of an owner by their last change, page after page", async () => {
      const store = await fresh();
      const ids = Array.from({ length: 12 }, (_, i) => `t${i}`);
      for (const [i, id] of ids.entries())
        await said(store, { owner: "ann", id }, `r${i}`, { turn: turnOf(`r${i}`, { at: 100 + (i % 4) }) });
      await said(store, { owner: "bob", id: "t0" }, "rb");
      const opened = await later(store);
      const changed = (id: string) => 100 + (Number(id.slice(1)) % 4);
      const expected = [...ids].sort((a, b) => changed(b) - changed(a) || (a < b ? -1 : 1));
      const pages: string[] = [];
      for (let after: string | undefined; ; ) {
        const page: ThreadState[] = await opened.list({ owner: "ann", limit: 5, after });
        pages.push(...page.map(({ id }) => id));
        if (page.length < 5) break;
        after = page.at(-1)!.id;
      }
      expect(pages).toEqual(expected);
      expect(await opened.count("ann")).toBe(12);
      expect(await opened.list({ owner: "ann", limit: 5, after: "unknown" })).toEqual([]);
    });

    it("any history equals that of a naive twin, in this life and the next", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { maxLength: 25 }), async (history) => {
          let store = await fresh();
          const twins = new Map<number, Twin>();
          for (const [at, step] of history.entries()) {
            const name = names[step.thread]!;
            const twin = twins.get(step.thread) ?? new Twin();
            if (step.do === "open") {
              const { run, again, instead } = step;
              const { how } = await store.open(name, hold(`r${run}`), { again, instead: `r${instead}` });
              expect(how).toBe(twin.open(`r${run}`, again, `r${instead}`));
              twins.set(step.thread, twin);
            } else if (step.do === "close") {
              const run = `r${step.run}`;
              const summary = step.sum ? `sum ${at}` : undefined;
              const turn = turnOf(run, { assistant: `${at}` });
              const end = step.said ? { turn, ...(summary !== undefined && { summary }) } : undefined;
              await store.close(name, run, end);
              if (!twin.close(run, end && `${at}`, summary)) twins.delete(step.thread);
            } else {
              expect(await store.remove(name)).toBe(twins.delete(step.thread));
            }
            if (again && at === 12) store = await again();
          }
          store = await later(store);
          for (const [at, name] of names.entries()) {
            const { turns = [], holder, summary } = twins.get(at) ?? {};
            expect(await seen(store, name)).toEqual({
              turns,
              ...(twins.has(at) && { holder, summary }),
            });
          }
        }),
        { numRuns: histories },
      );
    });
  });
}
