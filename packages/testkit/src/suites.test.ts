import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, operator, type Passage, type Store, TesseraError, text } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import { z } from "zod";
import { type ContractCheck, operatorChecks } from "./operator.js";
import { closingChecks } from "./store.js";

/** The names of the checks that fail. */
async function broken(checks: readonly ContractCheck[]): Promise<string[]> {
  const names: string[] = [];
  for (const { name, check } of checks)
    try {
      await check();
    } catch {
      names.push(name);
    }
  return names;
}

const sound = {
  name: "test.echo",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Says it again." },
  config: z.strictObject({}),
  ports: { input: { value: text }, output: { value: text } },
  setup:
    () =>
    async ({ value }: { value: string }) => ({ value }),
} as const;
const faultsOf = (given: object) =>
  broken(
    operatorChecks(operator({ ...sound, ...given } as never) as unknown as AnyOperator, {
      cases: [{ name: "echoes", input: { value: "long enough" }, output: { value: "long enough" } }],
    }),
  );

describe("the suite of operators", () => {
  const ports = "has ports that a document can name";
  const abort = "an aborted signal ends it with a result, the signal's reason or an error of the framework";

  it("passes one that is sound, also one that heeds its signal", async () => {
    expect(await faultsOf({})).toEqual([]);
    const heeds = (end: (signal: AbortSignal) => unknown) => ({
      setup:
        () =>
        async ({ value }: { value: string }, { signal }: { signal: AbortSignal }) => {
          if (signal.aborted) throw end(signal);
          return { value };
        },
    });
    expect(await faultsOf(heeds(({ reason }) => reason))).toEqual([]);
    expect(await faultsOf(heeds(() => new TesseraError("ABORTED", "it was aborted", { path: "test" })))).toEqual([]);
    expect(await faultsOf(heeds(({ reason }) => new Error("it was aborted", { cause: reason })))).toEqual([]);
    expect(await faultsOf(heeds(() => new TypeError("undefined is not a function")))).toEqual([abort]);
    expect(await faultsOf(heeds(() => "a text"))).toEqual([abort]);
  });

  it("fails one whose schema is another than the type that documents name", async () => {
    for (const wrong of [z.string().min(4), z.string().max(12), z.string().regex(/^[a-z ]+$/)]) {
      expect(await faultsOf({ ports: { input: { value: wrong }, output: { value: text } } })).toEqual([ports]);
      expect(await faultsOf({ ports: { input: { value: text }, output: { value: wrong } } })).toEqual([ports]);
    }
  });

  it("fails one that gives a result against its ports when it is aborted", async () => {
    const gives = {
      setup:
        () =>
        async ({ value }: { value: string }, { signal }: { signal: AbortSignal }) => ({
          value: signal.aborted ? 1 : value,
        }),
    };
    expect(await faultsOf(gives)).toEqual([abort]);
  });
});

/** A store that is sound but for one fault. */
function storeWith(
  fault: "none" | "no close" | "answers" | "writes" | "leaks a timer" | "shows to anybody" | "twice",
): Store {
  const passages = new Map<string, Passage>();
  let closed = false;
  let revision = 0;
  const timer = fault === "leaks a timer" ? setInterval(() => {}, 1e6) : undefined;
  if (timer) timers.push(timer);
  const assertOpen = (spared: boolean) => {
    if (closed && !spared) throw new TesseraError("CLOSED", "the store is closed");
  };
  const store: Store = {
    get revision() {
      return `${revision}`;
    },
    async search({ principal }) {
      assertOpen(fault === "answers");
      return [...passages.values()]
        .filter((passage) => admits(passage, undefined, principal))
        .map((passage) => ({ passage, score: 1, provenance: [] }));
    },
    async get(ids, principal) {
      assertOpen(false);
      return ids
        .map((id) => passages.get(id))
        .map((passage) =>
          passage && (fault === "shows to anybody" || admits(passage, undefined, principal)) ? passage : undefined,
        );
    },
    async upsert(given) {
      assertOpen(fault === "writes");
      for (const passage of given) passages.set(passage.id, passage);
      revision++;
    },
    async delete(ids) {
      assertOpen(fault === "writes");
      for (const id of ids) passages.delete(id);
      revision++;
    },
    async close() {
      if (closed && fault === "twice") throw new Error("it is closed already");
      closed = true;
    },
  };
  if (fault !== "no close") return store;
  const { close: _, ...rest } = store;
  return rest;
}
const timers: NodeJS.Timeout[] = [];

describe("the suite of stores", () => {
  const closing = "after close, every call fails with CLOSED, and another close is no error";
  it.each([
    ["none", []],
    ["no close", [closing]],
    ["answers", [closing]],
    ["writes", [closing]],
    ["twice", [closing]],
    ["leaks a timer", ["close leaves nothing open in the process"]],
    ["shows to anybody", ["gives by id only what the principal may see"]],
  ] as const)("of a store with the fault %s it fails what it should", async (fault, failing) => {
    expect(await broken(closingChecks({ open: async () => storeWith(fault), by: "text" }))).toEqual(failing);
    for (const timer of timers.splice(0)) clearInterval(timer);
  });
});
