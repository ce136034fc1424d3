// public: frontier
import { flag, number, operator, text } from "@tessera/core";
import { normalQuery } from "@tessera/core/internal";
import { z } from "zod";
import { stateOf, unvisited } from "./state.js";

type Stop = "none" | "empty" | "depth" | "nodes";

const state = stateOf(z.object({ visited: z.array(z.string()), depth: z.int(), nodes: z.int() }));

/**
 * The scheduler of recursive retrieval (algorithm 6): breadth first, level by level. The first call gives the query
 * itself; every later one takes the queries derived from the last level and gives those that no level has had (a
 * global visited set on normalised queries, erratum E3). It is done after `depth` levels, after `nodes` queries, or
 * when nothing new is derived; `stop` says which.
 */
export const frontier = operator({
  name: "router.frontier",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, algorithm 6 with errata E2 and E3",
    summary: "Schedules a search level by level.",
  },
  config: z.strictObject({
    /** K_max: levels, the query's own included. */
    depth: z.int().positive(),
    /** Queries in all. */
    nodes: z.int().positive(),
    /** Queries a level. */
    width: z.int().positive().optional(),
  }),
  ports: {
    input: { query: text, state: state.port, derived: z.array(text).optional() },
    output: {
      state: z.any(),
      next: z.array(text),
      level: number,
      done: flag,
      stop: z.enum(["none", "empty", "depth", "nodes"]),
    },
  },
  effects: "none",
  setup:
    ({ depth, nodes, width = nodes }) =>
    ({ query, state: given, derived = [] }) => {
      const before = state.read(given) ?? { visited: [], depth: 0, nodes: 0 };
      const level = before.depth + 1;
      const found = unvisited(given === undefined ? [query] : derived, new Set(before.visited));
      const next = level > depth ? [] : found.slice(0, Math.min(width, nodes - before.nodes));
      const stop: Stop = next.length > 0 ? "none" : level > depth ? "depth" : found.length > 0 ? "nodes" : "empty";
      const after = {
        visited: [...before.visited, ...next.map(normalQuery)],
        depth: level,
        nodes: before.nodes + next.length,
      };
      return { state: after, next, level, done: next.length === 0, stop };
    },
});
