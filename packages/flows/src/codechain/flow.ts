import { cluster, extract, filter, represent, revise, run, sample, select } from "@tessera/coder";
import { first, flow, is, value } from "@tessera/core";
import { listAppend } from "@tessera/data";
import { problemType, programs } from "../problem.js";

const model = { model: "model", count: 20 } as const;

const revision = flow(
  "revision",
  { problem: problemType, samples: programs, past: programs, rounds: programs, turn: "number" },
  (f, { problem, samples, past, rounds, turn }) => {
    const tested = f.node("test", run(), { problem, samples });
    const filtered = f.node("filter", filter(), { samples: tested.samples, past });
    const { modules } = f.node("extract", extract(), { problem, samples: filtered.kept });
    const represented = f.node("represent", represent({ by: "encoder", encoder: "encoder" }), { problem, modules });
    const { representatives } = f.node("cluster", cluster({ clusters: 5 }), {
      ...{ modules: represented.modules, vectors: represented.vectors, turn },
    });
    const revised = f.node("revise", revise(model), { problem, representatives }, { when: is(filtered.frozen, false) });
    return {
      // a frozen problem keeps what it has
      samples: first(revised.samples, tested.samples),
      past: filtered.past,
      rounds: f.node("remember", listAppend(), { list: rounds, item: tested.samples }).list,
      frozen: filtered.frozen,
    };
  },
);

/**
 * CodeChain as published: 20 modular samples, then five revisions with the representatives of 5, 4, 3, 2, 1 clusters of
 * the modules of samples that pass the public tests; a problem that no sample passes is frozen. `rounds` holds the
 * tested samples of every round, the first one first; `code` is a sample of the last round that passes.
 */
export const codechain = flow("codechain", { problem: problemType }, (f, { problem }) => {
  const { samples } = f.node("sample", sample({ ...model, mode: "modular" }), { problem });
  const revisions = f.repeat(
    "revisions",
    revision,
    { until: "frozen", carry: { samples: "samples", past: "past", rounds: "rounds" }, max: 5 },
    { problem, samples, past: value([]), rounds: value([]) },
  );
  const tested = f.node("test", run(), { problem, samples: revisions.samples });
  const filtered = f.node("filter", filter(), { samples: tested.samples, past: revisions.past });
  const rounds = f.node("remember", listAppend(), { list: revisions.rounds, item: tested.samples }).list;
  const { code, passed } = f.node("select", select({ by: "passing" }), { problem, samples: filtered.current });
  return { code, passed, rounds };
});
