// public: debug
import { boundOf, type LanguageModel, operator } from "@tessera/core";
import { z } from "zod";
import { codeSamples, problem } from "./problem.js";
import { debugPrompt, debugPromptText, directPromptText, openPrompts } from "./prompts.js";
import { draw, sampling } from "./sample.js";

/**
 * Self-Debug: each of the first `count` samples that fails is shown to the model with what its tests said, to be explained
 * and repaired; those that pass stay as they are. Samples keep their places.
 */
export const debug = operator({
  name: "coder.debug",
  version: 1,
  about: {
    module: "code",
    submodule: "revision",
    paper: "Chen et al. 2023 (Self-Debug)",
    summary: "Has a model repair failing samples from what their tests said.",
  },
  config: z.strictObject(sampling),
  ports: { input: { problem, samples: codeSamples }, output: { samples: codeSamples } },
  prompts: [debugPromptText],
  bound: (config) => boundOf(config, config.count, 4),
  setup: async ({ model: name, count, style, characters, ...how }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    const filled = await openPrompts(host, [directPromptText, debugPromptText]);
    return async ({ problem, samples }, context) => {
      const failing = samples
        .map((sample, index) => ({ sample, index }))
        .filter(({ sample }) => !sample.verdict?.passed)
        .slice(0, count);
      const prompts = failing.map(({ sample }) =>
        debugPrompt(problem, sample, style ?? model.prompts ?? "full", characters, filled),
      );
      const repaired = await draw(model, prompts, problem, how, context);
      const result = [...samples];
      for (const [place, { index }] of failing.entries()) result[index] = repaired[place]!;
      return { samples: result };
    };
  },
});
