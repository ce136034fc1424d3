// internal: converters
import type { Converter } from "../converter.js";
import { chunkingPassages } from "./chunking.js";
import { clincIntents } from "./clinc.js";
import { cosqa } from "./cosqa.js";
import { halueval } from "./halueval.js";
import { listPrograms } from "./listprograms.js";
import { mbxp } from "./mbxp.js";
import { musique } from "./musique.js";
import { nq } from "./nq.js";
import { stackoverflow } from "./stackoverflow.js";
import { strategyqa } from "./strategyqa.js";
import { text2cypher } from "./text2cypher.js";
import { xquad } from "./xquad.js";

/** The converters, by name: that of the folder of a published data set. */
export const converters: ReadonlyMap<string, Converter> = new Map(
  [
    ...[nq, musique, cosqa, xquad, strategyqa, halueval, stackoverflow],
    ...[chunkingPassages, clincIntents, text2cypher, mbxp, listPrograms],
  ].map((converter) => [converter.name, converter]),
);
