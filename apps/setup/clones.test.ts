import { expect, it } from "@jest/globals";
import { clonesIn } from "./clones.mjs";
import { root } from "./setup.mjs";

/** What may stand twice; `npm run figures` says how many must be reached. Lower it with each that goes. */
const mostClones = 20;
const mostLines = 15;

it("no more code stands twice than before: share it, in the room where it belongs", () => {
  const clones = clonesIn(root) as { readonly lines: number; readonly places: readonly string[] }[];
  expect(clones.filter(({ lines }) => lines > mostLines)).toEqual([]);
  expect({ clones, most: mostClones, tooMany: clones.length > mostClones }).toMatchObject({ tooMany: false });
});
