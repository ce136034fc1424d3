// public: flowReceive
import { flag, operator, type PortType, text, waitFor } from "@tessera/core";
import { type Piece, type PortValue, required, schemaOf, typed } from "@tessera/core/internal";
import { z } from "zod";
import { answerType, earliest, otherwise, problemOf, timeSettings, who } from "./waiting.js";

const config = z
  .strictObject({
    /** The name of the signal. */
    signal: z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "letters, digits, - and _, beginning with a letter"),
    /** How many signals the run keeps that nobody has received yet; more are refused. */
    queue: z.int().min(1).max(10_000).default(1),
    /** The type of the signal's value. */
    value: answerType.default("any"),
    ...timeSettings,
    otherwise,
    who,
  })
  .superRefine(({ value, otherwise }, context) => {
    const problem = typeof otherwise === "object" ? problemOf(value, otherwise.value) : undefined;
    if (problem)
      context.addIssue({ code: "custom", path: ["otherwise"], message: `the assumed value does not fit: ${problem}` });
  });

const specification = operator({
  name: "flow.receive",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "waiting",
    summary: "Waits for a signal of a name that somebody sends to the run.",
  },
  config,
  ports: ({ value, otherwise }) => ({
    input: { after: z.any().optional(), until: text.optional() },
    output: {
      value: otherwise === "skip" ? schemaOf(required(value)).optional() : schemaOf(value),
      timedOut: flag,
      by: text.optional(),
    },
  }),
  effects: "write",
  waits: ({ signal, queue, value, who }) => ({ signal: { name: signal, queue, type: value, ...(who && { who }) } }),
  setup: ({ signal, value, timeoutMs, until: latest, otherwise, who }) => {
    const assumed =
      otherwise === "fail" ? undefined : { ...(otherwise !== "skip" && { value: otherwise.value }), timedOut: true };
    return ({ until }: { until?: string }) =>
      waitFor({
        signal,
        answer: value,
        port: "value",
        timeoutMs,
        due: earliest(latest, until),
        otherwise: assumed,
        ...(who && { who }),
      });
  },
});

/**
 * Waits for a signal that is sent to the run (`tessera.signal(run, name, value)`). Signals that come before anybody waits
 * for them are kept in their order, at most `queue` of them, and each is received once. `timeoutMs`, `until`, `otherwise`
 * and `who` are as in `flow.wait`. `after` is only a dependency: the node begins to receive when that value is there.
 */
export const flowReceive =
  typed<
    <const T extends PortType = "any", const O extends { readonly value: unknown } | "skip" | "fail" = "fail">(config: {
      signal: string;
      queue?: number;
      value?: T;
      timeoutMs?: number;
      until?: string;
      otherwise?: O;
      who?: { groups?: readonly string[]; scope?: string };
    }) => Piece<
      { after?: unknown; until?: string },
      { value: O extends "skip" ? PortValue<T> | undefined : PortValue<T>; timedOut: boolean; by?: string }
    >
  >(specification);
