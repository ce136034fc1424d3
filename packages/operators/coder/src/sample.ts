// public: sample
import { ask, boundOf, type Context, type LanguageModel, type Message, operator } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { readAnswer } from "./answer.js";
import { codeSamples, type Problem, problem, type Sample } from "./problem.js";
import { directPrompt, directPromptText, modularPrompt, modularPromptText, openPrompts } from "./prompts.js";

/** The settings of every operator that asks for programs. */
export const sampling = {
  ...asking,
  maxTokens: asking.maxTokens.unwrap().default(1024),
  /** How many programs are asked for. */
  count: z.int().min(1).max(1000).default(20),
  temperature: z.number().min(0).max(2).default(1),
  /** "brief" is the form that a model trained on our own domain reads; by default what the model says of itself. */
  style: z.enum(["full", "brief"]).optional(),
};
const settings = z.strictObject(sampling);

/**
 * Asks a model once for each list of messages and reads each answer as a program. Ids are the activation's path and a
 * number; answers keep the order of their prompts. Each answer has its own seed where the model takes one.
 */
export async function draw(
  model: LanguageModel,
  prompts: readonly Message[][],
  problem: Problem,
  { maxTokens, temperature }: Pick<z.output<typeof settings>, "maxTokens" | "temperature">,
  context: Context,
): Promise<Sample[]> {
  const seeded = model.capabilities.has("seed");
  return Promise.all(
    prompts.map(async (messages, index): Promise<Sample> => {
      const seed = Math.floor(context.random() * 2 ** 31);
      const request = { messages, maxTokens, temperature, ...(seeded && { seed }) };
      const { text } = await ask(model, request, context);
      return { id: `${context.path}:${index}`, text, ...readAnswer(text, problem) };
    }),
  );
}

/** Asks a language model for `count` programs, each planned as sub-modules first ("modular") or not ("direct"). */
export const sample = operator({
  name: "coder.sample",
  version: 1,
  about: {
    module: "code",
    submodule: "generation",
    paper: "CodeChain, section 3.1",
    summary: "Samples programs for a problem from a language model.",
  },
  config: z.strictObject({ ...sampling, mode: z.enum(["modular", "direct"]).default("modular") }),
  ports: { input: { problem }, output: { samples: codeSamples } },
  prompts: [directPromptText, modularPromptText],
  bound: (config) => boundOf(config, config.count, 3),
  setup: async ({ mode, model: name, count, style, characters, ...how }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    const prompt = mode === "modular" ? modularPrompt : directPrompt;
    const filled = await openPrompts(host, [mode === "modular" ? modularPromptText : directPromptText]);
    return async ({ problem }, context) => {
      const messages = prompt(problem, style ?? model.prompts ?? "full", characters, filled);
      return { samples: await draw(model, Array(count).fill(messages), problem, how, context) };
    };
  },
});
