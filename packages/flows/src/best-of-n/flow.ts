import { run, sample, select } from "@tessera/coder";
import { flow } from "@tessera/core";
import { problemType } from "../problem.js";

/** As many samples as CodeChain spends (20 × 6), of which one that passes the public tests is drawn. */
export const bestOfN = flow("best-of-n", { problem: problemType }, (f, { problem }) => {
  const { samples } = f.node("sample", sample({ model: "model", count: 120, mode: "direct" }), { problem });
  const tested = f.node("test", run(), { problem, samples });
  const { code, passed } = f.node("select", select({ by: "passing" }), { problem, samples: tested.samples });
  return { code, passed, samples: tested.samples };
});
