import { expect, it } from "@jest/globals";
import { clonesIn } from "./clones.mjs";
import { root } from "./setup.mjs";

/** What stands twice today: two flows of the catalogue, two parsers, suites of two stores. One more is one too many. */
const mostClones = 30;
const mostLines = 20;

it("no more code stands twice than before: share it, in the room where it belongs", () => {
  const clones = clonesIn(root) as { readonly lines: number; readonly places: readonly string[] }[];
  expect(clones.filter(({ lines }) => lines > mostLines)).toEqual([]);
  expect({ clones, most: mostClones, tooMany: clones.length > mostClones }).toMatchObject({ tooMany: false });
});
