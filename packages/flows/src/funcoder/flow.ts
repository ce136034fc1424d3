import { elect, extract, revise, run, sample, select } from "@tessera/coder";
import { flow } from "@tessera/core";
import { problemType } from "../problem.js";

/**
 * Functions by consensus: each sub-function of twenty plans is elected by its behaviour, without any test; twenty more
 * programs are composed of the elected ones, and their own consensus is the answer. One level of FunCoder's recursion.
 */
export const funcoder = flow("funcoder", { problem: problemType }, (f, { problem }) => {
  const divided = f.node("divide", sample({ model: "model", count: 20, mode: "modular" }), { problem });
  const { modules } = f.node("extract", extract(), { problem, samples: divided.samples });
  const { representatives } = f.node("elect", elect({ modules: 16, examples: false }), { problem, modules });
  const conquered = f.node("conquer", revise({ model: "model", count: 20 }), { problem, representatives });
  const tested = f.node("test", run(), { problem, samples: conquered.samples });
  const chosen = f.node("select", select({ by: "consensus" }), { problem, samples: tested.samples });
  return { code: chosen.code, passed: chosen.passed, votes: chosen.votes, samples: tested.samples };
});
