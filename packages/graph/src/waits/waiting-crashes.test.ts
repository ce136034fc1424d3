import { describe, expect, it } from "@jest/globals";
import type { Clock, FlowDocument, Records } from "@tessera/core";
import { countOf } from "@tessera/testkit";
import { compile } from "../compile.js";
import type { CompiledFlow } from "../compiled.js";
import { dice, digest, ending, randomFlow, World } from "../records/crashes.fixture.js";
import { memoryRecords } from "../records/memory.js";
import type { RunResult } from "../run.js";
import { openWaitsOf } from "./answering.js";
import { isPending, type Wait } from "./entries.js";

const input = { value: "ab" };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Pauses take no time within a life; between two lives half a second passes. */
class JumpingClock implements Clock {
  today = 0;
  now = () => 0;
  date = () => this.today;
  after(milliseconds: number, run: () => void): () => void {
    let stopped = milliseconds > 0;
    if (!stopped) queueMicrotask(() => !stopped && run());
    return () => {
      stopped = true;
    };
  }
}

interface Lives {
  readonly document: FlowDocument;
  readonly world: World;
  readonly kept: Records;
  readonly clock: JumpingClock;
  readonly next: (limit: number) => number;
}

const answerTo = ({ payload }: Wait): string => digest(`a${payload}`);

/** Ends one of the waits that are open, in whatever way it asks; what dies or comes too late is tried again some time. */
async function endOne({ kept, next }: Lives, ready: CompiledFlow): Promise<void> {
  const record = await kept.run("r");
  const open = record ? (await openWaitsOf(kept, record)).filter(({ kind }) => kind !== "time") : [];
  const wait = open[next(Math.max(1, open.length))];
  if (!wait) return;
  const ended =
    wait.kind === "signal"
      ? ready.signal("r", { name: wait.signal!, value: "heard" })
      : ready.answer("r", { path: wait.path, value: answerTo(wait) });
  await ended.catch((error) => {
    if (!/the process is dead/.test(error.message))
      expect(["CONFLICT", "NOT_FOUND", "OVERLOADED"]).toContain(error.code);
  });
}

/** One life of an engine: it begins the run or takes it up, while others answer, and dies at some write. */
async function life(lives: Lives, mostWrites: number): Promise<RunResult | undefined> {
  const { document, world, kept, clock, next } = lives;
  const mortal = ending(kept, mostWrites);
  const ready = await compile(document, { operators: world.operators(), host: world.host, records: mortal, clock });
  const { entries } = await kept.journal("r");
  const before = world.starts.length;
  // some answers come while nobody works on the run
  for (let i = next(3); i > 0; i--) await endOne(lives, ready);
  const running = (await kept.run("r")) ? ready.resume("r") : ready.run(input, { id: "r", seed: 3 });
  let over = false;
  const ended = running.then(
    (result) => result,
    (error) => {
      expect(error.message).toMatch(/the process is dead/);
      return undefined;
    },
  );
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    await turn();
    if (next(2) === 0) await endOne(lives, ready);
  }
  const places = world.starts.slice(before).map((key) => key.slice(key.indexOf(":") + 1));
  expect(places.filter((place) => entries.has(place))).toEqual([]);
  return ended;
}

/** Lives of a run until it is done; most of them die. */
async function lived(seed: number, document: FlowDocument): Promise<number> {
  const next = dice(seed * 7 + 1);
  const lives: Lives = { document, world: new World(), kept: memoryRecords(), clock: new JumpingClock(), next };
  for (let count = 1; ; count++) {
    const result = await life(lives, next(4) === 0 ? Number.POSITIVE_INFINITY : next(6));
    lives.clock.today += 500;
    if (count > 500) throw new Error(`seed ${seed} comes to no end`);
    if (result?.status !== "done") continue;
    const calm = new World({ waits: false });
    const settings = { host: calm.host, clock: lives.clock, records: memoryRecords() };
    const ready = await compile(document, { operators: calm.operators(), ...settings });
    expect(result.output).toEqual((await ready.run(input, { seed: 3 })).output);
    expect(await lives.kept.waits!.get("r")).toBeUndefined();
    // each step was finished once, in all lives together
    const { entries } = await lives.kept.journal("r");
    const steps = [...entries.values()].filter((entry) => !entry.mark && !entry.skipped && !isPending(entry));
    expect(result.spent.steps).toBeGreaterThanOrEqual(steps.length);
    return count;
  }
}

describe("a run that waits and is killed at any write, and whose waits end in any order while others work", () => {
  it("comes to the output of a run that waits for nothing, and nothing finished runs again", async () => {
    let lives = 0;
    let waiting = 0;
    const flows = countOf({ usual: 300, long: 10_000 });
    for (let seed = 1; seed <= flows; seed++) {
      const document = randomFlow(seed, { nodes: 3, depth: 1, waits: true });
      if (/test\.(ask|nap|hear)/.test(JSON.stringify(document))) waiting++;
      lives += await lived(seed, document);
    }
    // most of the flows wait, and most of the runs have died in between
    expect(waiting).toBeGreaterThan(flows / 2);
    expect(lives).toBeGreaterThan(flows * 2);
  });
});
