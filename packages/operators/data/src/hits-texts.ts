// public: hitsTexts
import { hits, operator, text } from "@tessera/core";
import { z } from "zod";

/** The texts of the passages of hits, in their order: to search or to fill a template with what was found. */
export const hitsTexts = operator({
  name: "hits.texts",
  version: 1,
  about: { module: "data", submodule: "hits", summary: "Gives the texts of the passages of hits." },
  config: z.strictObject({}),
  ports: { input: { hits }, output: { texts: z.array(text) } },
  effects: "none",
  setup:
    () =>
    ({ hits }) => ({ texts: hits.map(({ passage }) => passage.text) }),
});
