import { passages } from "@tessera/core";
import { z } from "zod";

/** What the operators have in common that cut documents into parts of at most `maximum` tokens. */
export const chunking = {
  config: z.strictObject({ maximum: z.int().min(16).default(400) }),
  ports: { input: { documents: passages }, output: { passages } },
  effects: "none",
} as const;
