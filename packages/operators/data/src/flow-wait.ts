// public: flowWait
import { flag, operator, type PortType, text, waitFor } from "@tessera/core";
import { type Piece, type PortValue, required, schemaOf, typed } from "@tessera/core/internal";
import { z } from "zod";
import { answerType, earliest, otherwise, problemOf, timeSettings, who } from "./waiting.js";

const config = z
  .strictObject({
    /** The type of the answer, which goes to the output `answer`. */
    answer: answerType.optional(),
    /** In place of `answer`: the answer is an object, and each of its members goes to the output of that name. */
    form: z.record(z.string(), answerType).optional(),
    ...timeSettings,
    otherwise,
    who,
  })
  .superRefine(({ answer, form, otherwise }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    if (answer && form) issue("form", "it has either `answer` or `form`");
    for (const name of Object.keys(form ?? {}))
      if (["timedOut", "by", "__proto__"].includes(name)) issue("form", `"${name}" is an output of its own`);
    if (typeof otherwise !== "object") return;
    const { value } = otherwise;
    const parts = form
      ? Object.entries(form).map(([name, type]) => [type, (value as Record<string, unknown> | null)?.[name]] as const)
      : [[answer ?? "any", value] as const];
    for (const [type, part] of parts) {
      const problem = problemOf(type, part);
      if (problem) issue("otherwise", `the assumed answer does not fit: ${problem}`);
    }
  });

const outputsOf = ({ answer = "any", form, otherwise }: z.output<typeof config>): Record<string, z.ZodType> => {
  const types: Record<string, PortType> = form ?? { answer };
  return Object.fromEntries(
    Object.entries(types).map(([name, type]) => [
      name,
      otherwise === "skip" ? schemaOf(required(type)).optional() : schemaOf(type),
    ]),
  );
};

const specification = operator({
  name: "flow.wait",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "waiting",
    summary: "Waits for an answer of a person or a program, of a stated type.",
  },
  config,
  ports: (settings) => ({
    input: { payload: z.any().optional(), until: text.optional() },
    output: { ...outputsOf(settings), timedOut: flag, by: text.optional() },
  }),
  effects: "write",
  waits: () => ({}),
  setup: ({ answer = "any", form, timeoutMs, until: latest, otherwise, who }) => {
    const assumed = (): Record<string, unknown> | undefined => {
      if (otherwise === "fail") return undefined;
      if (otherwise === "skip") return { timedOut: true };
      const { value } = otherwise;
      return form ? { ...(value as object), timedOut: true } : { answer: value, timedOut: true };
    };
    return ({ payload, until }: { payload?: unknown; until?: string }) =>
      waitFor({
        ...(payload !== undefined && { payload }),
        ...(form ? { form } : { answer }),
        timeoutMs,
        due: earliest(latest, until),
        otherwise: assumed(),
        ...(who && { who }),
      });
  },
});

type Common = {
  timeoutMs?: number;
  until?: string;
  who?: { groups?: readonly string[]; scope?: string };
};
type Assumed<T> = { readonly value: T } | "skip" | "fail";
type Answered<T, O> = O extends "skip" ? T | undefined : T;
type Said = { timedOut: boolean; by?: string };
type Asked = { payload?: unknown; until?: string };

/**
 * Asks a person or a program, and waits. `payload` is what they are shown. The answer has the type of the setting
 * `answer` (any JSON without it), so that a choice can be read by a `when`; with `form` it is an object, and each member
 * is an output. When `timeoutMs` or `until` is over, `otherwise` says what is assumed: `{ value }`, "skip" (the answer is
 * left out, and `timedOut` is true), or "fail" (NODE_TIMEOUT, which is the default). The owner of the run may answer, and
 * whom `who` names besides. `by` is the id of who answered.
 */
export const flowWait =
  typed<
    <
      const A extends PortType = "any",
      const F extends Readonly<Record<string, PortType>> | undefined = undefined,
      const O extends Assumed<unknown> = "fail",
    >(
      config?: { answer?: A; form?: F; otherwise?: O } & Common,
    ) => Piece<
      Asked,
      (F extends Readonly<Record<string, PortType>>
        ? { [K in keyof F]: Answered<PortValue<F[K]>, O> }
        : { answer: Answered<PortValue<A>, O> }) &
        Said
    >
  >(specification);
