// random flows of operators that report as they like, and what they must be charged
import { type Context, type FlowDocument, type NodeDocument, operator, text } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import type { FakeClock } from "@tessera/testkit";
import { z } from "zod";
import type { CompiledFlow } from "./compiled.js";

export interface Amount {
  calls: number;
  tokens: number;
}

/** One attempt as the operator saw it. */
export interface Attempt {
  readonly path: string;
  readonly bound: Amount;
  readonly reported: Amount;
  reports: number;
  /** How often it had reported when it ended by itself; nothing while it has not. */
  endedAfter: number | undefined;
  /** The attempts of the run inside it, where it begins one. */
  readonly inner?: Attempt[];
  /** Set when the run inside has ended. */
  innerOver?: boolean;
}

/** What happens while an attempt works, one after the other. */
type Act = { readonly wait: number } | { readonly spend: Amount } | { readonly end: "return" | "throw" | "never" };

const none: Amount = { calls: 0, tokens: 0 };

export const sumOf = (amounts: readonly Amount[]): Amount =>
  amounts.reduce((sum, { calls, tokens }) => ({ calls: sum.calls + calls, tokens: sum.tokens + tokens }), none);

/** What an attempt reported, by itself and by the run inside it. */
const reportedBy = ({ reported, inner = [] }: Attempt): Amount => sumOf([reported, ...inner.map(dueOf)]);

/** The charge of an attempt, by the rule alone. */
export function dueOf(attempt: Attempt): Amount {
  const { bound, endedAfter } = attempt;
  const reported = reportedBy(attempt);
  if (endedAfter !== undefined && endedAfter > 0) return reported;
  return { calls: Math.max(bound.calls, reported.calls), tokens: Math.max(bound.tokens, reported.tokens) };
}

export function isOverBound(attempt: Attempt): boolean {
  const reported = reportedBy(attempt);
  return reported.calls > attempt.bound.calls || reported.tokens > attempt.bound.tokens;
}

export interface World {
  readonly clock: FakeClock;
  readonly attempts: Attempt[];
  /** Set when the run has ended: what is reported after that is not its own. */
  over: boolean;
  random: () => number;
  /** Whether an operator may report more than its bound. */
  greedy: boolean;
}

/** An operator whose attempts draw what they do: they report early, late, in parts or never, and end or do not. */
export const worker = (world: () => World) =>
  operator({
    name: "test.worker",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Spends." },
    config: z.strictObject({ calls: z.number(), tokens: z.number() }),
    ports: { input: { value: text }, output: { value: text, done: z.boolean() } },
    bound: ({ calls, tokens }) => ({ calls, tokens }),
    setup: (bound) => (_, context) => work(world(), bound, context),
  });

/** Begins an attempt: of the run itself, or of the run inside an attempt, which the principal of that run numbers. */
function begin(world: World, context: Context, bound: Amount, inner?: Attempt[]) {
  const { path, principal } = context;
  const outer = principal && world.attempts[Number(principal.id)];
  const attempt: Attempt = { path, bound, reported: { ...none }, reports: 0, endedAfter: undefined, inner };
  (outer?.inner ?? world.attempts).push(attempt);
  const isOver = () => world.over || outer?.innerOver === true;
  return { attempt, isOver };
}

function work(world: World, bound: Amount, context: Context): Promise<{ value: string; done: boolean }> {
  const { attempt, isOver } = begin(world, context, bound);
  const { spend, signal } = context;
  const acts = actsOf(world, bound);
  const done = world.random() < 0.3;
  const report = (use: Amount): void => {
    spend(use);
    if (isOver()) return;
    attempt.reports++;
    attempt.reported.calls += use.calls;
    attempt.reported.tokens += use.tokens;
  };
  const planned = acts.reduce((sum, act) => sum + ("spend" in act ? act.spend.tokens : 0), 0);
  if (world.random() < 0.2 && (world.greedy || planned < bound.tokens))
    signal.addEventListener("abort", () => report({ calls: 0, tokens: 1 }));
  return new Promise((resolve, reject) => {
    const go = (at: number): void => {
      const act = acts[at];
      if (!act) return;
      if ("wait" in act) return void world.clock.after(act.wait, () => go(at + 1));
      if ("spend" in act) report(act.spend);
      else {
        // the engine hears of the end in the next microtask
        if (act.end !== "never")
          queueMicrotask(() => {
            if (!signal.aborted && !isOver()) attempt.endedAfter ??= attempt.reports;
          });
        if (act.end === "return") resolve({ value: "v", done });
        if (act.end === "throw") reject(new Error("thrown"));
      }
      go(at + 1);
    };
    go(0);
  });
}

const hows = ["signal", "context", "at once", "behind an await", "as a stream"] as const;

/**
 * An operator that begins a run of another flow, in one of all ways, and may report a call of its own where its bound is whole.
 * @param short what its bound lacks of what it may spend
 */
export const agent = (world: () => World, inners: readonly CompiledFlow[], short: number) =>
  operator({
    name: "test.agent",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Runs a flow." },
    config: z.strictObject({ inner: z.number(), how: z.enum(hows) }),
    ports: { input: { value: text, values: z.array(text) }, output: { value: text, done: z.boolean() } },
    bound: ({ inner }) => boundOf(inners[inner]!, short),
    setup:
      ({ inner, how }) =>
      async (input, context) => {
        const at = world();
        const { attempt } = begin(at, context, boundOf(inners[inner]!, short), []);
        const own = short === 0 && at.random() < 0.3;
        const pause = () =>
          new Promise<void>((resolve) => void at.clock.after(1 + Math.floor(at.random() * 5), resolve));
        if (how === "behind an await") await pause();
        try {
          if (at.over || context.signal.aborted) throw new Error("given up");
          await runInside(at, attempt, inners[inner]!, { how, input, context });
        } finally {
          await pause(); // no two end in one turn of the event loop, of which the engine hears one first
          if (own) {
            context.spend({ calls: 1 });
            if (!at.over) attempt.reported.calls++;
          }
          queueMicrotask(() => {
            if (!context.signal.aborted && !at.over) attempt.endedAfter ??= 1;
          });
        }
        return { value: "v", done: at.random() < 0.3 };
      },
  });

const boundOf = ({ bound }: CompiledFlow, short: number): Amount => ({
  calls: Math.max(0, bound.calls + 1 - short),
  tokens: Math.max(0, bound.tokens - short),
});

async function runInside(
  { attempts }: World,
  attempt: Attempt,
  flow: CompiledFlow,
  { how, input, context }: { how: (typeof hows)[number]; input: Record<string, unknown>; context: Context },
): Promise<void> {
  const inside = how === "signal" ? { signal: context.signal } : how === "context" ? { outer: context } : {};
  const options = { principal: { id: `${attempts.indexOf(attempt)}` }, ...inside };
  try {
    await (how === "as a stream" ? flow.stream(input, options).result : flow.run(input, options));
  } finally {
    attempt.innerOver = true;
  }
}

/** A few reports that stay within the bound (or do not, where that is allowed), the end somewhere among them. */
function actsOf({ random, greedy }: World, bound: Amount): Act[] {
  const acts: Act[] = [];
  const left = { ...bound };
  for (let parts = Math.floor(random() * 4); parts > 0; parts--) {
    const extra = greedy && random() < 0.2 ? 2 : 0;
    const use = {
      calls: Math.floor(random() * (left.calls + 1)) + extra,
      tokens: Math.floor(random() * (left.tokens + 1)) + extra,
    };
    left.calls = Math.max(0, left.calls - use.calls);
    left.tokens = Math.max(0, left.tokens - use.tokens);
    acts.push({ spend: use });
  }
  const kind = random();
  const end: Act = { end: kind < 0.75 ? "return" : kind < 0.95 ? "throw" : "never" };
  acts.splice(Math.floor(random() * (acts.length + 1)), 0, end);
  return acts.flatMap((act): Act[] => (random() < 0.6 ? [{ wait: 1 + Math.floor(random() * 20) }, act] : [act]));
}

const whole = (random: () => number, most: number): number => Math.floor(random() * (most + 1));

function policyOf(random: () => number): NodeDocument["policy"] {
  return {
    ...(random() < 0.4 && { timeoutMs: 1 + whole(random, 30) }),
    ...(random() < 0.4 && { retry: { attempts: 1 + whole(random, 2), backoffMs: whole(random, 5) } }),
    ...(random() < 0.6 && { onError: "skip" as const }),
  };
}

/** A random flow, and the flows that operators of it run, `most` of them at most. */
export function randomFlows(random: () => number, most: number): { document: FlowDocument; inners: FlowDocument[] } {
  const inners = Array.from({ length: most && whole(random, most) }, () => randomFlow(random, 0));
  return { document: randomFlow(random, 2, inners.length), inners };
}

/**
 * Parallel branches and lines, lists, loops and flows within, all of it under policies.
 * @param inners how many flows its operators can run
 */
function randomFlow(random: () => number, depth: number, inners = 0): FlowDocument {
  const nodes: Record<string, NodeDocument> = {};
  const texts = ["input.value"];
  const output: FlowDocument["output"] = {};
  const count = 1 + whole(random, 3);
  for (let i = 0; i < count; i++) {
    const id = `n${i}`;
    const kind = i > 0 ? random() : 0.3 + 0.7 * random(); // the first output of each flow is a text
    const inner = depth > 0 && random() < 0.35;
    const runs = !inner && inners > 0 && random() < 0.4;
    const from = texts[whole(random, texts.length - 1)]!;
    const each = { over: "value", max: 3, ...(random() < 0.5 && { concurrency: 1 + whole(random, 1) }) };
    const repeat = { carry: {}, max: 1 + whole(random, 2), ...(!inner && { until: "done" }) };
    const port = `${id}.${inner ? "out0" : "value"}`;
    nodes[id] = {
      run: inner ? randomFlow(random, depth - 1, inners) : runs ? "test.agent" : "test.worker",
      ...(!inner && !runs && { with: { calls: whole(random, 2), tokens: whole(random, 9) } }),
      ...(runs && { with: { inner: whole(random, inners - 1), how: hows[whole(random, hows.length - 1)]! } }),
      in: {
        value: kind < 0.3 ? "input.values" : { first: [from, { value: "" }] },
        ...((inner || runs) && { values: "input.values" }),
      },
      ...(kind < 0.3 && { each }),
      ...(kind >= 0.3 && kind < 0.5 && { repeat }),
      ...(random() < 0.7 && { policy: policyOf(random) }),
    };
    output[`out${i}`] = { first: [port, { value: kind < 0.3 ? [] : "" }] };
    if (kind >= 0.3) texts.push(port);
  }
  return { version: 1, name: "f", input: { value: "text", values: { list: "text" } }, nodes, output };
}

export const worldOf = (seed: number, clock: FakeClock, greedy: boolean): World => ({
  clock,
  attempts: [],
  over: false,
  random: mulberry32(seed),
  greedy,
});
