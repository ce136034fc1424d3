// public: filter
import { flag, operator } from "@tessera/core";
import { z } from "zod";
import { codeSamples } from "./problem.js";

/**
 * The public-test filter with the freeze rule, as published: a round's samples that pass all public tests are kept; where
 * none passes, those of the last round that had one stand in for it (samples and verdicts); where there was none yet, the
 * problem is frozen: nothing is kept, and there is nothing to revise with. With `by: "none"` every sample that has code is
 * kept (an arm of the comparison).
 */
export const filter = operator({
  name: "coder.filter",
  version: 1,
  about: {
    module: "code",
    submodule: "filtering",
    paper: "CodeChain, section 3.2",
    summary: "Keeps the samples that pass the public tests, and freezes problems that none passes.",
  },
  config: z.strictObject({ by: z.enum(["public-tests", "none"]).default("public-tests") }),
  ports: {
    input: { samples: codeSamples, past: codeSamples.optional() },
    output: {
      /** What modules may be taken from. */
      kept: codeSamples,
      /** What the round counts as its samples: its own, or those that stand in for them. */
      current: codeSamples,
      /** The last round that had a passing sample. */
      past: codeSamples,
      frozen: flag,
    },
  },
  effects: "none",
  setup:
    ({ by }) =>
    ({ samples, past = [] }) => {
      const keeps = by === "none" ? (one: (typeof samples)[number]) => one.code !== "" : passes;
      const own = samples.filter(keeps);
      const current = own.length > 0 || past.length === 0 ? samples : past;
      const kept = current.filter(keeps);
      return { kept, current, past: own.length > 0 ? samples : past, frozen: kept.length === 0 };
    },
});

const passes = ({ verdict }: { verdict?: { passed: boolean } | undefined }): boolean => verdict?.passed === true;
