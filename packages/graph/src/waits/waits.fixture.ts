// operators that wait, for the tests of this package
import { type AnyOperator, flag, operator, text, waitFor } from "@tessera/core";
import { portType, schemaOf } from "@tessera/core/internal";
import { z } from "zod";
import { testKit } from "../kit.fixture.js";

const about = { module: "orchestration", submodule: "test", summary: "For tests of waiting." } as const;

/** The operators of `testKit`, and three that wait. */
export function waitingKit() {
  const kit = testKit();
  const { log } = kit;
  /** Asks for an answer of a type. */
  const ask = operator({
    name: "test.ask",
    version: 1,
    about,
    config: z.strictObject({
      answer: portType.default("text"),
      timeoutMs: z.number().optional(),
      otherwise: z.json().optional(),
      skip: z.boolean().default(false),
      groups: z.array(z.string()).optional(),
    }),
    ports: ({ answer, skip }) => ({
      input: { value: z.any().optional() },
      output: {
        answer: skip ? schemaOf(answer).optional() : schemaOf(answer),
        timedOut: flag,
        by: text.optional(),
      },
    }),
    effects: "write",
    waits: () => ({}),
    setup:
      ({ answer, timeoutMs, otherwise, skip, groups }) =>
      ({ value }, { path }) => {
        log.started.push(path);
        const assumed = otherwise === undefined ? undefined : { answer: otherwise, timedOut: true };
        return waitFor({
          payload: value,
          answer,
          timeoutMs,
          otherwise: skip ? { timedOut: true } : assumed,
          ...(groups && { who: { groups } }),
        });
      },
  });
  const nap = operator({
    name: "test.nap",
    version: 1,
    about,
    config: z.strictObject({ ms: z.number() }),
    ports: { input: { value: z.any() }, output: { value: z.any() } },
    effects: "write",
    waits: () => ({}),
    setup:
      ({ ms }) =>
      ({ value }, { path }) => {
        log.started.push(path);
        return waitFor({ timeoutMs: ms, otherwise: { value } });
      },
  });
  const hear = operator({
    name: "test.hear",
    version: 1,
    about,
    config: z.strictObject({ signal: z.string(), queue: z.number().default(2) }),
    ports: { input: { after: z.any().optional() }, output: { value: text, timedOut: flag, by: text.optional() } },
    effects: "write",
    waits: ({ signal, queue }) => ({ signal: { name: signal, queue, type: "text" as const } }),
    setup:
      ({ signal }) =>
      (_, { path }) => {
        log.started.push(path);
        return waitFor({ signal, answer: "text", port: "value" });
      },
  });
  return { ...kit, ask, nap, hear, all: [...kit.all, ask, nap, hear] as unknown as AnyOperator[] };
}
