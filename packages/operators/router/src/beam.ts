// public: beam
import { flag, number, operator, TesseraError, text } from "@tessera/core";
import { z } from "zod";
import { stateOf } from "./state.js";

const beams = z.array(z.object({ text: z.string(), score: z.number(), finished: z.boolean() }));
const state = stateOf(z.object({ beams, depth: z.int() }));
const candidate = z.object({ text: z.string(), score: z.number(), finished: z.boolean().optional() });

/**
 * The scheduler of a search over segments (Self-RAG, Asai et al. 2023; with `width` above the number of candidates a
 * tree, as in RQ-RAG): each call takes, for each text of the last `next` in its order, the candidates that continue it.
 * A path's score is the sum of its segments' scores, or its last one's; the best `width` paths are kept, those that are finished or have no
 * continuation as they are. It is done when all are finished or after `depth` segments; `best` is the best path so far.
 * @throws TesseraError BAD_VALUE where the lists of candidates are not as many as the paths that were to be continued.
 */
export const beam = operator({
  name: "router.beam",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, algorithm 7; Self-RAG (Asai et al. 2023)",
    summary: "Schedules a beam search over segments of text.",
  },
  config: z.strictObject({
    width: z.int().positive().default(2),
    depth: z.int().positive().default(7),
    /** A path's score: the sum of its segments' scores (Self-RAG), or that of its last one, its leaf (RQ-RAG). */
    score: z.enum(["sum", "last"]).default("sum"),
    /** Stands between two segments. */
    separator: z.string().default(" "),
  }),
  ports: {
    input: { state: state.port, candidates: z.array(z.array(candidate)).optional() },
    output: { state: z.any(), next: z.array(text), best: text, score: number, done: flag },
  },
  effects: "none",
  setup:
    ({ width, depth, score: scoring, separator }) =>
    ({ state: given, candidates = [] }) => {
      const before = state.read(given);
      const paths = before?.beams ?? [{ text: "", score: 0, finished: false }];
      const open = before ? paths.filter(({ finished }) => !finished) : [];
      if (candidates.length !== open.length)
        throw new TesseraError("BAD_VALUE", `${open.length} paths were to be continued, ${candidates.length} were`);
      const grown = open.flatMap((path, index) => {
        const own = candidates[index]!;
        if (own.length === 0) return [{ ...path, finished: true }];
        return own.map(({ text, score, finished = false }) => ({
          text: [path.text, text].filter((part) => part !== "").join(separator),
          score: scoring === "sum" ? path.score + score : text === "" ? path.score : score,
          finished,
        }));
      });
      const kept = before
        ? [...paths.filter(({ finished }) => finished), ...grown].sort((a, b) => b.score - a.score).slice(0, width)
        : paths;
      const segments = before ? before.depth + 1 : 0;
      const next = kept.filter(({ finished }) => !finished).map(({ text }) => text);
      const done = segments >= depth || next.length === 0;
      return {
        state: { beams: kept, depth: segments },
        next: done ? [] : next,
        best: kept[0]!.text,
        score: kept[0]!.score,
        done,
      };
    },
});
