import { assemble, elect, extract, revise, run, sample, select } from "@tessera/coder";
import { flow, value } from "@tessera/core";
import { listFlatten } from "@tessera/data";
import { problemType, programs } from "../problem.js";

const model = { model: "model", count: 20 } as const;

const revision = flow(
  "revision",
  { problem: problemType, samples: programs, pool: programs },
  (f, { problem, samples, pool }) => {
    const tested = f.node("test", run(), { problem, samples });
    const { modules } = f.node("extract", extract(), { problem, samples: tested.samples });
    const { representatives } = f.node("elect", elect({ modules: 5 }), { problem, modules });
    const assembled = f.node("assemble", assemble(), { problem, samples: tested.samples, representatives });
    const again = f.node("test-assembled", run(), { problem, samples: assembled.samples });
    const revised = f.node("revise", revise(model), { problem, representatives });
    return {
      samples: revised.samples,
      pool: f.node("pool", listFlatten(), { lists: [pool, tested.samples, again.samples] }).list,
    };
  },
);

/**
 * CodeChain with modules tested and voted for one by one: candidates of all samples run on their docstrings' examples and
 * are elected by behaviour, so that the good parts of partly wrong samples are kept, and no problem is frozen. The elected
 * modules go into the next prompt, and into the samples themselves in the place of their namesakes, which costs no call.
 */
export const codechainModules = flow("codechain-modules", { problem: problemType }, (f, { problem }) => {
  const { samples } = f.node("sample", sample({ ...model, mode: "modular" }), { problem });
  const revisions = f.repeat(
    "revisions",
    revision,
    { carry: { samples: "samples", pool: "pool" }, max: 5 },
    { problem, samples, pool: value([]) },
  );
  const tested = f.node("test", run(), { problem, samples: revisions.samples });
  const pool = f.node("pool", listFlatten(), { lists: [revisions.pool, tested.samples] }).list;
  const chosen = f.node("select", select({ by: "consensus" }), { problem, samples: pool });
  return { code: chosen.code, passed: chosen.passed, votes: chosen.votes, samples: pool };
});
