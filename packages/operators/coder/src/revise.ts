// public: revise
import { boundOf, type LanguageModel, operator } from "@tessera/core";
import { z } from "zod";
import { codeModules, codeSamples, problem } from "./problem.js";
import { modularPrompt, modularPromptText, openPrompts, revisePrompt, revisePromptText } from "./prompts.js";
import { draw, sampling } from "./sample.js";

// a revision shows at most as many modules as there can be clusters
const mostModules = 16;

/**
 * Asks for programs anew, with the representative modules to reuse. No earlier program, failing test or error is shown:
 * the only feedback is which modules occurred in programs that were kept. Without a module it is the modular prompt.
 */
export const revise = operator({
  name: "coder.revise",
  version: 1,
  about: {
    module: "code",
    submodule: "revision",
    paper: "CodeChain, section 3.3",
    summary: "Samples programs that reuse representative modules.",
  },
  config: z.strictObject(sampling),
  ports: { input: { problem, representatives: codeModules }, output: { samples: codeSamples } },
  prompts: [revisePromptText],
  bound: (config) => boundOf(config, config.count, 3 + mostModules),
  setup: async ({ model: name, count, style, characters, ...how }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    const filled = await openPrompts(host, [modularPromptText, revisePromptText]);
    const form = style ?? model.prompts ?? "full";
    return async ({ problem, representatives }, context) => {
      const shown = representatives.slice(0, mostModules);
      const messages =
        shown.length > 0
          ? revisePrompt(problem, shown, form, characters, filled)
          : modularPrompt(problem, form, characters, filled);
      return { samples: await draw(model, Array(count).fill(messages), problem, how, context) };
    };
  },
});
