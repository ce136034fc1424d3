import { flow, operator, text } from "@tessera/core";
import { z } from "zod";

export const shout = operator({
  name: "app.shout",
  version: 1,
  about: { module: "generation", submodule: "form", summary: "Writes a text in capital letters." },
  config: z.strictObject({}),
  ports: { input: { text }, output: { text } },
  effects: "none",
  setup: () => (input) => ({ text: input.text.toUpperCase() }),
});
export const loud = flow("loud", { text: "text" }, (f, { text }) => f.node("shout", shout({}), { text }));
