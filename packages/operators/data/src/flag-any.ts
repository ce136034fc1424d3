// public: flagAny
import { flag, operator } from "@tessera/core";
import { z } from "zod";

/** Whether any of the flags holds; of none at all, none does. A `when` can ask for the opposite. */
export const flagAny = operator({
  name: "flag.any",
  version: 1,
  about: { module: "data", submodule: "flag", summary: "Says whether any of several flags holds." },
  config: z.strictObject({}),
  ports: { input: { flags: z.array(flag) }, output: { holds: flag } },
  effects: "none",
  setup:
    () =>
    ({ flags }) => ({ holds: flags.includes(true) }),
});
