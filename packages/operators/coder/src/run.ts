// public: run
import { number, operator } from "@tessera/core";
import { z } from "zod";
import { codeSamples, problem } from "./problem.js";
import type { Sandbox } from "./sandbox/sandbox.js";

/** Runs the public tests on every sample in the sandbox; a sample without code, or whose run is refused, fails. */
export const run = operator({
  name: "coder.run",
  version: 1,
  about: {
    module: "code",
    submodule: "execution",
    paper: "CodeChain, section 3.2",
    summary: "Runs the public tests on samples in the sandbox.",
  },
  config: z.strictObject({
    /** The name of a "sandbox" resource. */
    sandbox: z.string().min(1).default("sandbox"),
  }),
  ports: {
    input: { problem, samples: codeSamples },
    output: { samples: codeSamples, /** How many passed, of those that were run. */ passed: number },
  },
  setup: async ({ sandbox: name }, host) => {
    const sandbox = await host.resource<Sandbox>("sandbox", name);
    return async ({ problem: { tests, language }, samples }, { signal }) => {
      const judged = await Promise.all(
        samples.map(async (sample) => ({
          ...sample,
          verdict: await sandbox.judge(sample.code, tests, language, signal),
        })),
      );
      return { samples: judged, passed: judged.filter(({ verdict }) => verdict.passed).length };
    };
  },
});
