import { z } from "zod";

/** The names of routes: at least one, none of them empty. */
export const routesOf = <T extends z.ZodType>(value: T) =>
  z.record(z.string().min(1), value).refine((routes) => Object.keys(routes).length > 0, "there must be a route");

/** A decision port over names, each once. */
export const choiceOf = (...names: readonly string[]) => z.enum([...new Set(names)] as [string, ...string[]]);
