import { asking } from "@tessera/core/internal";
import { z } from "zod";

/** The settings of a language model that chooses. */
export const judgeConfig = z
  .strictObject({
    ...asking,
    maxTokens: asking.maxTokens.unwrap().default(32),
    /** What is to be decided. */
    question: z.string().min(1),
    /** The choices, and when each is right. */
    choices: z
      .record(z.string().min(1), z.string())
      .refine((choices) => Object.keys(choices).length > 1, "two choices at least"),
    /** The choice where the model's verdict cannot be read. */
    otherwise: z.string(),
    /** The words by which the model names the choices; a tuned model's own tokens, as in {"yes": "[Retrieval]"}. */
    labels: z.record(z.string(), z.string().min(1)).default({}),
    /** Takes this choice where its probability exceeds `above`, and else the likeliest other one. */
    favour: z.strictObject({ choice: z.string(), above: z.number().min(0).max(1) }).optional(),
    /** The most passages that are shown. */
    passages: z.int().positive().default(5),
  })
  .refine(({ choices, otherwise }) => Object.hasOwn(choices, otherwise), "`otherwise` must be one of the choices")
  .refine(
    ({ choices, labels }) => Object.keys(labels).every((name) => Object.hasOwn(choices, name)),
    "a label names no choice",
  )
  .refine(({ choices, favour }) => !favour || Object.hasOwn(choices, favour.choice), "`favour` names no choice");
