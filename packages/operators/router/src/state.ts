import { TesseraError } from "@tessera/core";
import { normalQuery } from "@tessera/core/internal";
import { z } from "zod";

/** The state of a search on its port: JSON that only the scheduler itself reads. */
export const stateOf = <T extends z.ZodType>(schema: T) => ({
  port: z.any().optional(),
  /** @throws TesseraError BAD_VALUE where the value is no state of this scheduler. */
  read(value: unknown): z.output<T> | undefined {
    if (value === undefined || value === null) return undefined;
    const read = schema.safeParse(value);
    if (read.success) return read.data;
    throw new TesseraError("BAD_VALUE", "the value is no state of this scheduler", {
      hint: "carry its own `state` output into its `state` input, and nothing else",
    });
  },
});

/** Texts that are not in `visited`, each once; adds their normal forms to it. */
export function unvisited(texts: readonly string[], visited: Set<string>): string[] {
  return texts.filter((text) => {
    const key = normalQuery(text);
    return key !== "" && !visited.has(key) && visited.add(key);
  });
}
