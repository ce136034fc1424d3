// random flows of operators that report as they like, and what they must be charged
import { type Context, type FlowDocument, type NodeDocument, operator, text } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import type { FakeClock } from "@tessera/testkit";
import { z } from "zod";

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
}

/** What happens while an attempt works, one after the other. */
type Act = { readonly wait: number } | { readonly spend: Amount } | { readonly end: "return" | "throw" | "never" };

const none: Amount = { calls: 0, tokens: 0 };

/** The charge of an attempt, by the rule alone. */
export function dueOf({ bound, reported, endedAfter }: Attempt): Amount {
  if (endedAfter !== undefined && endedAfter > 0) return reported;
  return { calls: Math.max(bound.calls, reported.calls), tokens: Math.max(bound.tokens, reported.tokens) };
}

export const isOverBound = ({ bound, reported }: Attempt): boolean =>
  reported.calls > bound.calls || reported.tokens > bound.tokens;

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

function work(world: World, bound: Amount, context: Context): Promise<{ value: string; done: boolean }> {
  const attempt: Attempt = { path: context.path, bound, reported: { ...none }, reports: 0, endedAfter: undefined };
  world.attempts.push(attempt);
  const { spend, signal } = context;
  const acts = actsOf(world, bound);
  const done = world.random() < 0.3;
  const report = (use: Amount): void => {
    spend(use);
    if (world.over) return;
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
            if (!signal.aborted && !world.over) attempt.endedAfter ??= attempt.reports;
          });
        if (act.end === "return") resolve({ value: "v", done });
        if (act.end === "throw") reject(new Error("thrown"));
      }
      go(at + 1);
    };
    go(0);
  });
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

/** A random flow: parallel branches and lines, lists, loops and flows within, all of it under policies. */
export function randomFlow(random: () => number, depth = 2): FlowDocument {
  const nodes: Record<string, NodeDocument> = {};
  const texts = ["input.value"];
  const output: FlowDocument["output"] = {};
  const count = 1 + whole(random, 3);
  for (let i = 0; i < count; i++) {
    const id = `n${i}`;
    const kind = i > 0 ? random() : 0.3 + 0.7 * random(); // the first output of each flow is a text
    const inner = depth > 0 && random() < 0.35;
    const from = texts[whole(random, texts.length - 1)]!;
    const each = { over: "value", max: 3, ...(random() < 0.5 && { concurrency: 1 + whole(random, 1) }) };
    const repeat = { carry: {}, max: 1 + whole(random, 2), ...(!inner && { until: "done" }) };
    const port = `${id}.${inner ? "out0" : "value"}`;
    nodes[id] = {
      run: inner ? randomFlow(random, depth - 1) : "test.worker",
      ...(!inner && { with: { calls: whole(random, 2), tokens: whole(random, 9) } }),
      in: {
        value: kind < 0.3 ? "input.values" : { first: [from, { value: "" }] },
        ...(inner && { values: "input.values" }),
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
