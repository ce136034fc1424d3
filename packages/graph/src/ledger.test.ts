import { beforeAll, describe, expect, it, jest } from "@jest/globals";
import type { AnyOperator, FlowEvent, Spent } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import { FakeClock } from "@tessera/testkit";
import { compile } from "./compile.js";
import { type Attempt, dueOf, isOverBound, randomFlow, type World, worker, worldOf } from "./ledger.fixture.js";
import type { Budget, RunResult } from "./run.js";

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
let latest: { readonly seed: number; readonly opened: ReturnType<typeof open> } | undefined;

/** A random flow, ready to run; the latest is kept. */
function flowOf(seed: number): ReturnType<typeof open> {
  if (latest?.seed !== seed) latest = { seed, opened: open(seed) };
  return latest.opened;
}

async function open(seed: number) {
  const clock = new FakeClock();
  let world: World;
  const operators = [worker(() => world)] as unknown as AnyOperator[];
  const ready = await compile(randomFlow(mulberry32(seed + 1)), { operators, clock });
  const enter = (next: World) => {
    world = next;
  };
  return { ready, clock, enter };
}

/** Runs a random flow on a fake clock, and looks at it after everything that happens. */
async function watch(
  seed: number,
  { greedy = false, budget }: { greedy?: boolean; budget?: (bound: Budget) => Budget } = {},
): Promise<Watched> {
  const { ready, clock, enter } = await flowOf(Math.floor(seed / lives));
  const world = worldOf(seed, clock, greedy);
  enter(world);
  const stop = new AbortController();
  const stream = ready.stream(input, { signal: stop.signal, budget: budget?.(ready.bound) });
  let result: RunResult | undefined;
  const ended = (end?: RunResult) => {
    world.over = true;
    result = end;
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
  if (greedy)
    await (async () => {
      for await (const event of stream) events.push(event);
    })().catch(() => {});
  return { world, result, seen, due, events };
}

const total = (attempts: readonly Attempt[]) =>
  attempts.map(dueOf).reduce((sum, { calls, tokens }) => ({ calls: sum.calls + calls, tokens: sum.tokens + tokens }), {
    calls: 0,
    tokens: 0,
  });
const measures = ["steps", "calls", "tokens"] as const;

function assertCharged({ world, seen, result }: Watched): void {
  const final = seen.at(-1)!;
  expect(final).toEqual({ steps: world.attempts.length, ...total(world.attempts), layers: 0, cost: 0 });
  if (result) expect(result.spent).toEqual(final);
  const sinks = seen.some((now, i) => measures.some((measure) => i > 0 && now[measure] < seen[i - 1]![measure]));
  expect(sinks).toBe(false);
}

describe("one ledger, over 10,000 runs of random flows on a fake clock", () => {
  beforeAll(() => void jest.spyOn(process, "emitWarning").mockImplementation(() => {}));

  it("refuses no run whose budget is its flow's bound, charges by the rule, and never says more than it charges", async () => {
    const kinds = { done: 0, failed: 0, abandoned: 0, spent: 0 };
    for (let seed = 0; seed < 10_000; seed++) {
      const watched = await watch(seed, { budget: (bound) => bound });
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
    for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(2_000);
  });

  it("charges what is reported above a bound, and names it in a warning", async () => {
    let over = 0;
    for (let seed = 0; seed < 500; seed++) {
      const watched = await watch(seed, { greedy: true });
      assertCharged(watched);
      const { events, world } = watched;
      const warned = events.flatMap((event) => (event.type === "warning" ? [event] : []));
      const expected = world.attempts.filter(isOverBound).map(({ path }) => path);
      expect(warned.map(({ path }) => path).sort()).toEqual(expected.sort());
      for (const { message } of warned) expect(message).toMatch(/test\.worker reported more than its bound: \d+ /);
      over += expected.length;
    }
    expect(over).toBeGreaterThan(200);
  });

  it("sets aside no more than any budget, and ends as done or budget", async () => {
    const ends = { done: 0, budget: 0 };
    for (let seed = 0; seed < 500; seed++) {
      let most: Budget = {};
      const { result, due, world } = await watch(seed, {
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
