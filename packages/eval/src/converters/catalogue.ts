import type { Converter } from "../converter.js";
import { cosqa } from "./cosqa.js";
import { musique } from "./musique.js";
import { nq } from "./nq.js";
import { strategyqa } from "./strategyqa.js";
import { xquad } from "./xquad.js";

/** The converters, by name. */
export const converters: ReadonlyMap<string, Converter> = new Map(
  [nq, musique, cosqa, xquad, strategyqa].map((converter) => [converter.name, converter]),
);
