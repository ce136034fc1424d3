import { number, text } from "@tessera/core";
import { z } from "zod";

/** The names of routes: at least one, none of them empty. */
export const routesOf = <T extends z.ZodType>(value: T) =>
  z.record(z.string().min(1), value).refine((routes) => Object.keys(routes).length > 0, "there must be a route");

/** A decision port over names, each once. */
export const choiceOf = (...names: readonly string[]) => z.enum([...new Set(names)] as [string, ...string[]]);

/** The ports of a router by keywords: its choice is one of the routes, or `otherwise`. */
export const keywordPorts = ({
  routes,
  otherwise,
}: {
  routes: Readonly<Record<string, unknown>>;
  otherwise: string;
}) => ({
  input: { query: text, keywords: z.array(text).optional() },
  output: {
    choice: choiceOf(...Object.keys(routes), otherwise),
    score: number,
    scores: z.record(z.string(), number),
  },
});
