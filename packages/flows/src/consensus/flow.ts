import { run, sample, select } from "@tessera/coder";
import { flow } from "@tessera/core";
import { problemType } from "../problem.js";

/** As many samples as CodeChain spends (20 × 6); of those that pass, one of the largest group that behaves alike. */
export const consensus = flow("consensus", { problem: problemType }, (f, { problem }) => {
  const { samples } = f.node("sample", sample({ model: "model", count: 120, mode: "direct" }), { problem });
  const tested = f.node("test", run(), { problem, samples });
  const chosen = f.node("select", select({ by: "consensus" }), { problem, samples: tested.samples });
  return { code: chosen.code, passed: chosen.passed, votes: chosen.votes, samples: tested.samples };
});
