// public: tree
import { flag, number, operator, text } from "@tessera/core";
import { normalQuery } from "@tessera/core/internal";
import { z } from "zod";
import { stateOf, unvisited } from "./state.js";

type Stop = "none" | "nodes" | "restarts" | "expansions";

const node = z.object({ question: z.string(), depth: z.int() });
const state = stateOf(
  z.object({
    queue: z.array(node),
    valid: z.array(node),
    at: node,
    restarts: z.int(),
    expansions: z.int(),
  }),
);

/**
 * The scheduler of Tree of Clarifications (Kim et al. 2023): a queue, first in first out, of questions to expand. Each
 * call takes the children of the last question that passed the pruning, keeps those that the tree lacks, and gives the
 * next question. An empty queue is filled again with the root and all valid questions, which is a restart. It is done
 * at `nodes` valid questions, `restarts` restarts or `expansions` expansions; `stop` says which. `prune` is false once
 * `patience` expansions gave nothing: then the flow is to keep what its pruning would drop.
 */
export const tree = operator({
  name: "router.tree",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, section V; Tree of Clarifications (Kim et al. 2023)",
    summary: "Schedules the growth of a tree of questions.",
  },
  config: z.strictObject({
    /** Questions deeper than this are not expanded; the root has depth 0. */
    depth: z.int().positive().default(3),
    nodes: z.int().positive().default(10),
    restarts: z.int().nonnegative().default(3),
    expansions: z.int().positive().default(15),
    patience: z.int().positive().default(10),
  }),
  ports: {
    input: { query: text, state: state.port, children: z.array(text).optional() },
    output: {
      state: z.any(),
      next: text.optional(),
      depth: number,
      prune: flag,
      questions: z.array(text),
      done: flag,
      stop: z.enum(["none", "nodes", "restarts", "expansions"]),
    },
  },
  effects: "none",
  setup:
    ({ depth, nodes, restarts, expansions, patience }) =>
    ({ query, state: given, children = [] }) => {
      const root = { question: query, depth: 0 };
      const before = state.read(given) ?? { queue: [root], valid: [], at: root, restarts: 0, expansions: 0 };
      const visited = new Set([root, ...before.valid].map(({ question }) => normalQuery(question)));
      const grown = (given === undefined ? [] : unvisited(children, visited))
        .slice(0, nodes - before.valid.length)
        .map((question) => ({ question, depth: before.at.depth + 1 }));
      const valid = [...before.valid, ...grown];
      const queue = [...before.queue, ...grown].filter((member) => member.depth <= depth);
      let again = before.restarts;
      if (queue.length === 0 && again < restarts) {
        again += 1;
        queue.push(root, ...valid.filter((member) => member.depth <= depth));
      }
      const at = queue.shift();
      const stop: Stop =
        valid.length >= nodes ? "nodes" : before.expansions >= expansions ? "expansions" : at ? "none" : "restarts";
      const done = stop !== "none";
      return {
        state: { queue, valid, at: at ?? root, restarts: again, expansions: before.expansions + (done ? 0 : 1) },
        ...(!done && { next: at!.question }),
        depth: at?.depth ?? 0,
        prune: valid.length > 0 || before.expansions < patience,
        questions: valid.map(({ question }) => question),
        done,
        stop,
      };
    },
});
