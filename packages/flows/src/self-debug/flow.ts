import { debug, run, sample, select } from "@tessera/coder";
import { flow } from "@tessera/core";
import { problemType, programs } from "../problem.js";

const repair = flow("repair", { problem: problemType, samples: programs }, (f, { problem, samples }) => {
  const tested = f.node("test", run(), { problem, samples });
  const repaired = f.node("debug", debug({ model: "model", count: 20 }), { problem, samples: tested.samples });
  return { samples: repaired.samples };
});

/** Twenty samples; each that fails is repaired up to five times from what its tests said. */
export const selfDebug = flow("self-debug", { problem: problemType }, (f, { problem }) => {
  const { samples } = f.node("sample", sample({ model: "model", count: 20, mode: "direct" }), { problem });
  const repaired = f.repeat("repairs", repair, { carry: { samples: "samples" }, max: 5 }, { problem, samples });
  const tested = f.node("test", run(), { problem, samples: repaired.samples });
  const { code, passed } = f.node("select", select({ by: "passing" }), { problem, samples: tested.samples });
  return { code, passed, samples: tested.samples };
});
