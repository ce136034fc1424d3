import { beforeAll, describe, expect, it, jest } from "@jest/globals";
import type { AnyOperator, FlowEvent, Spent } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import { countOf, FakeClock } from "@tessera/testkit";
import { compile } from "./compile.js";
import { agent, dueOf, isOverBound, randomFlows, sumOf, type World, worker, worldOf } from "./ledger.fixture.js";
import { memoryRecords } from "./records/memory.js";
import type { Budget, RunResult } from "./run.js";
import type { RunStream } from "./run-options.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const input = { value: "v", values: ["a", "b", "c"] };

interface Watched {
  readonly world: World;
  readonly result: RunResult | undefined;
  /** What `spent()` said, at every turn and after the end. */
  readonly seen: Spent[];
  readonly due: Spent[];
  readonly events: FlowEvent[];
}

const lives = 4; // how often a flow is run, with other reports, pauses and ends each time
let latest: { readonly name: string; readonly opened: ReturnType<typeof open> } | undefined;

/** A random flow, ready to run; the latest is kept. */
function flowOf(seed: number, watching: Watching): ReturnType<typeof open> {
  const { inner, kept, short } = watching;
  const name = `${seed} ${inner} ${kept} ${short}`;
  if (latest?.name !== name) latest = { name, opened: open(seed, watching) };
  return latest.opened;
}

async function open(seed: number, { inner = false, kept = false, short = 0 }: Watching) {
  const clock = new FakeClock();
  let world: World;
  const workers = [worker(() => world)] as unknown as AnyOperator[];
  const { document, inners } = randomFlows(mulberry32(seed + 1), inner ? 2 : 0);
  const flows = await Promise.all(inners.map((inner) => compile(inner, { operators: workers, clock })));
  const operators = [...workers, agent(() => world, flows, short) as unknown as AnyOperator];
  const ready = await compile(document, { operators, clock, records: kept ? memoryRecords() : undefined });
  const enter = (next: World) => {
    world = next;
  };
  return { ready, clock, enter };
}

interface Watching {
  /** Whether operators run flows, whether records are kept, and what bounds of operators that run flows lack. */
  readonly inner?: boolean;
  readonly greedy?: boolean;
  readonly kept?: boolean;
  readonly short?: number;
  readonly budget?: (bound: Budget) => Budget;
}

/** Runs a random flow on a fake clock, and looks at it after everything that happens. */
async function watch(seed: number, watching: Watching = {}) {
  const { greedy = false, budget } = watching;
  const { ready, clock, enter } = await flowOf(Math.floor(seed / lives), watching);
  const world = worldOf(seed, clock, greedy);
  enter(world);
  const id = `${seed}`;
  const first = await live(world, (signal) => ready.stream(input, { id, signal, budget: budget?.(ready.bound) }));
  /** Takes the run up again, with all that it needs. */
  const goOn = () => live(world, (signal) => ready.resumeStream(id, { signal }));
  return { ...first, world, goOn };
}

async function live(world: World, begin: (signal: AbortSignal) => RunStream<unknown>): Promise<Omit<Watched, "world">> {
  const { clock } = world;
  const stop = new AbortController();
  world.over = false;
  const stream = begin(stop.signal);
  let result: RunResult | undefined;
  const ended = (end?: unknown) => {
    world.over = true;
    result = end as RunResult | undefined;
  };
  stream.result.then(ended, () => ended());
  const seen: Spent[] = [];
  const due: Spent[] = [];
  const last = world.random() < 0.2 ? Math.floor(world.random() * 10) : Number.POSITIVE_INFINITY;
  for (let steps = 0; ; steps++) {
    await turn();
    seen.push(stream.spent());
    due.push(stream.due());
    if (world.over) break;
    if (steps >= last || clock.waiting === 0) stop.abort(new Error("enough"));
    else clock.step();
  }
  // whatever still works reports to nobody
  while (clock.waiting > 0) clock.step();
  await turn();
  seen.push(stream.spent());
  const events: FlowEvent[] = [];
  if (world.greedy)
    await (async () => {
      for await (const event of stream) events.push(event);
    })().catch(() => {});
  return { result, seen, due, events };
}

const measures = ["steps", "calls", "tokens"] as const;

function assertCharged({ world, seen, result }: Watched, kept = false): void {
  const final = seen.at(-1)!;
  const total = sumOf(world.attempts.map(dueOf));
  if (final.calls !== total.calls || final.tokens !== total.tokens) expect(final).toMatchObject(total);
  if (final.layers !== 0 || final.cost !== 0) expect(final).toMatchObject({ layers: 0, cost: 0 });
  // where records are kept, a step may be counted that was given up before it began; and a run that goes on does not know
  // of attempts that left no result and cost nothing
  if (!kept && final.steps !== world.attempts.length) expect(final.steps).toBe(world.attempts.length);
  if (result && measures.some((measure) => result.spent[measure] !== final[measure]))
    expect(result.spent).toEqual(final);
  const sinks = seen.some((now, i) => measures.some((measure) => i > 0 && now[measure] < seen[i - 1]![measure]));
  if (sinks) expect(seen).toEqual([]);
}

describe("one ledger, over thousands of runs of random flows on a fake clock", () => {
  beforeAll(() => void jest.spyOn(process, "emitWarning").mockImplementation(() => {}));

  it.each([
    ["refuses no run whose budget is its flow's bound, charges by the rule, and never says more than it charges", {}],
    ["and likewise where operators run flows, in every way to begin a run", { inner: true }],
  ])("%s", async (_, { inner = false }: Watching) => {
    const kinds = { done: 0, failed: 0, abandoned: 0, spent: 0 };
    const count = countOf({ usual: inner ? 600 : 2_000, long: 10_000 });
    for (let seed = 0; seed < count; seed++) {
      const watched = await watch(seed, { inner, budget: (bound) => bound });
      try {
        if (watched.result) expect(watched.result.status).toBe("done");
        assertCharged(watched);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      const { result, world, seen } = watched;
      kinds[result ? "done" : "failed"]++;
      kinds.abandoned += world.attempts.filter(({ endedAfter }) => endedAfter === undefined).length;
      kinds.spent += seen.at(-1)!.calls;
    }
    for (const seen of Object.values(kinds)) expect(seen).toBeGreaterThan(count / 5);
  });

  it("keeps what is charged where records are kept, through a budget, a failure and an abort to the end of the run", async () => {
    const ends = { refused: 0, failed: 0, went: 0 };
    for (let seed = 0; seed < countOf({ usual: 400, long: 6_000 }); seed++) {
      const short = seed % 3 === 0 ? 2 : 0;
      const most = ({ calls = 0 }: Budget) => ({ calls: Math.floor((calls * (seed % 5)) / 4) });
      const watched = await watch(seed, { inner: true, kept: true, short, budget: most });
      const { world, result, goOn } = watched;
      assertCharged(watched, true);
      if (result?.status === "done") continue;
      ends[result ? "refused" : "failed"]++;
      const again = await goOn();
      try {
        assertCharged({ ...again, world }, true);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      if (again.result) ends.went++;
    }
    for (const count of Object.values(ends)) expect(count).toBeGreaterThan(40);
  });

  it("charges what is reported above a bound, and names it in a warning", async () => {
    let over = 0;
    for (let seed = 0; seed < 500; seed++) {
      const watched = await watch(seed, { inner: true, greedy: true });
      assertCharged(watched);
      const { events, world } = watched;
      const warned = events.flatMap((event) => (event.type === "warning" ? [event] : []));
      const expected = world.attempts.filter(isOverBound).map(({ path }) => path);
      expect(warned.map(({ path }) => path).sort()).toEqual(expected.sort());
      for (const { message } of warned)
        expect(message).toMatch(/test\.(worker|agent) reported more than its bound: \d+ /);
      over += expected.length;
    }
    expect(over).toBeGreaterThan(200);
  });

  it("sets aside no more than any budget, and ends as done or budget", async () => {
    const ends = { done: 0, budget: 0, waiting: 0 };
    for (let seed = 0; seed < 500; seed++) {
      let most: Budget = {};
      const { result, due, world } = await watch(seed, {
        inner: true,
        short: seed % 2,
        budget: (bound) => {
          most = { calls: Math.floor(bound.calls! * mulberry32(seed)()), tokens: Math.floor(bound.tokens! * 0.7) };
          return most;
        },
      });
      // what is reported when an attempt has ended with less, and another has taken its room, is charged all the same
      const late = world.attempts.some(({ endedAfter, reports }) => endedAfter !== undefined && endedAfter < reports);
      const isOver = due.some(({ calls, tokens }) => calls > most.calls! || tokens > most.tokens!);
      if (isOver && !late) throw new Error(`seed ${seed}: ${JSON.stringify({ most, due })}`);
      if (result) ends[result.status]++;
    }
    expect(ends.done).toBeGreaterThan(50);
    expect(ends.budget).toBeGreaterThan(50);
  });
});
