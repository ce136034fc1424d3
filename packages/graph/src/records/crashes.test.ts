import { describe, expect, it } from "@jest/globals";
import type { Clock, FlowDocument, Records } from "@tessera/core";
import { countOf } from "@tessera/testkit";
import { compile } from "../compile.js";
import { ending, noting, randomFlow, World } from "./crashes.fixture.js";
import { memoryRecords } from "./memory.js";

/** Pauses between attempts take no time. */
const clock: Clock = {
  now: () => 0,
  after(_, run) {
    let stopped = false;
    queueMicrotask(() => !stopped && run());
    return () => {
      stopped = true;
    };
  },
};
const input = { value: "ab" };
const dead = /the process is dead/;

/** One life of an engine: a new one each time. */
const life = (document: FlowDocument, world: World, records: Records, version = 1) =>
  compile(document, { operators: world.operators(version), host: world.host, records, clock });

const placesOf = (starts: readonly string[]): string[] => starts.map((key) => key.slice(key.indexOf(":") + 1));

/** Another engine takes the run up: no step that has a durable entry starts again. */
async function resumed(document: FlowDocument, world: World, records: Records, version = 1) {
  const { entries } = await records.journal("r");
  const before = world.starts.length;
  const ready = await life(document, world, records, version);
  const result = await ready.resume("r", { acceptChanges: version > 1 });
  expect(placesOf(world.starts.slice(before)).filter((place) => entries.has(place))).toEqual([]);
  return { ready, ...result };
}

/** Runs a flow whose records refuse all from the write `k` on, and takes it up. */
async function refusedFrom(document: FlowDocument, k: number): Promise<number> {
  const world = new World();
  const records = memoryRecords();
  const mortal = ending(records, k);
  const first = await (await life(document, world, mortal)).run(input, { id: "r", seed: 3 }).catch((error) => error);
  if (first instanceof Error) expect(first.message).toMatch(dead);
  if (!(await records.run("r"))) return mortal.writes();
  const { ready, output, spent } = await resumed(document, world, records);
  const calm = await (await life(document, new World(), memoryRecords())).run(input, { seed: 3 });
  expect(output).toEqual(calm.output);
  // everything is finished now: a replay gives the same, and was charged the same
  const starts = world.starts.length;
  const { steps: _, ...paid } = spent;
  expect(await ready.replay("r")).toMatchObject({ output, spent: paid });
  expect(world.starts).toHaveLength(starts);
  return mortal.writes();
}

describe("a run that was killed at any write", () => {
  it("every write of small flows, of 60: no finished step starts again, and the result is the undisturbed one", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const document = randomFlow(seed);
      const writes = await refusedFrom(document, Number.POSITIVE_INFINITY);
      if (writes <= 12) for (let k = 0; k < writes; k++) await refusedFrom(document, k);
    }
  });

  it("any write of thousands of flows, with stores that others change and operators that rise in between", async () => {
    for (let seed = 1; seed <= countOf({ usual: 2_000, long: 10_000 }); seed++) {
      const document = randomFlow(seed, { nodes: 3, depth: 1 });
      const world = new World();
      const kept = noting(memoryRecords());
      const ready = await life(document, world, kept);
      const calm = await ready.run(input, { id: "r", seed: 3 });
      // what a process that was killed after so many writes has left
      const left = memoryRecords();
      for (const write of kept.writes.slice(0, 1 + (seed % kept.writes.length))) await write(left);
      if (seed % 3 > 0) world.revision += 100;
      const { output, spent } = await resumed(document, world, left, seed % 5 === 0 ? 2 : 1);
      expect(output).toEqual(calm.output);
      const { charged, entries } = await left.journal("r");
      const noted = [...entries.values()].reduce((sum, entry) => sum + (entry.charged?.calls ?? 0), charged.calls);
      expect(spent.calls).toBe(noted);
    }
  });
});
