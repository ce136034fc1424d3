// public: flowSleep
import { flag, operator, TesseraError, text, waitFor } from "@tessera/core";
import { limits, type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { earliest, timeSettings } from "./waiting.js";

const { until } = timeSettings;
const length = z.number().nonnegative().max(limits.milliseconds, "at most a year");
const config = z.strictObject({
  /** How long it sleeps, in milliseconds; the input `ms` says so at run time. */
  ms: length.optional(),
  until,
});

const specification = operator({
  name: "flow.sleep",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "waiting",
    summary: "Sleeps for a time or until a moment, and passes a value on.",
  },
  config,
  ports: {
    input: { value: z.any(), ms: z.number().optional(), until: text.optional() },
    output: { value: z.any(), woken: flag },
  },
  effects: "write",
  waits: () => ({}),
  setup:
    (settings) =>
    ({ value, ms, until }) => {
      const given = ms ?? settings.ms;
      if (given !== undefined && !length.safeParse(given).success)
        throw new TesseraError("BAD_VALUE", `${given} ms is no time to sleep`, { hint: "0 to a year" });
      const due = earliest(settings.until, until);
      if (due === undefined && given === undefined)
        throw new TesseraError("BAD_VALUE", "it is not said how long it sleeps", {
          hint: "give it `ms` or `until`, as a setting or as an input",
        });
      return waitFor({ timeoutMs: given, due, otherwise: { value, woken: true } });
    },
});

/**
 * Sleeps for `ms` milliseconds or until the moment `until` (ISO 8601 with its offset), whichever comes first; both are
 * settings or inputs. The output `value` is the input `value`, so that what reads it comes after the sleep; `woken` is
 * true, and a `when` can read it. The run holds nothing in memory meanwhile.
 */
export const flowSleep =
  typed<
    <T>(config?: {
      ms?: number;
      until?: string;
    }) => Piece<{ value: T; ms?: number; until?: string }, { value: T; woken: boolean }>
  >(specification);
