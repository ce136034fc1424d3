import { type PortType, TesseraError } from "@tessera/core";
import { limits, portType, schemaOf } from "@tessera/core/internal";
import { z } from "zod";

/** What the operators that wait have in common. */
export const timeSettings = {
  /** How long it waits, in milliseconds. */
  timeoutMs: z.number().positive().max(limits.milliseconds, "at most a year").optional(),
  /** Until when it waits (ISO 8601, with its offset); the input `until` says so at run time. */
  until: z.iso.datetime({ offset: true }).optional(),
};

/** What happens when the time is over: an answer is assumed, the answer is left out, or the step fails. */
export const otherwise = z.union([z.strictObject({ value: z.json() }), z.enum(["skip", "fail"])]).default("fail");

export const answerType: z.ZodType<PortType> = portType;

/** Whoever may answer besides the principal of the run. */
export const who = z
  .strictObject({
    groups: z.array(z.string().min(1)).optional(),
    scope: z.string().min(1).optional(),
  })
  .optional();

/** The moment that a text names, in milliseconds since 1970. @throws TesseraError BAD_VALUE */
function momentOf(text: string): number {
  const parsed = z.iso.datetime({ offset: true }).safeParse(text);
  const moment = parsed.success ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(moment))
    throw new TesseraError("BAD_VALUE", `"${text.slice(0, 100)}" is no moment`, {
      hint: "ISO 8601 with its offset, such as 2027-01-31T08:00:00+01:00",
    });
  return moment;
}

/** The earliest of some moments, in milliseconds since 1970; nothing where none is given. */
export function earliest(...texts: readonly (string | undefined)[]): number | undefined {
  const moments = texts.filter((text) => text !== undefined).map(momentOf);
  return moments.length > 0 ? Math.min(...moments) : undefined;
}

/** Why a value does not fit a type; nothing where it does. */
export const problemOf = (type: PortType, value: unknown): string | undefined => {
  const { error } = schemaOf(type).safeParse(value);
  return error && (error.issues[0]?.message ?? "it does not fit");
};
