import { htmlReader } from "./html.js";
import type { Reader } from "./reader.js";
import { textReader } from "./text.js";

/** The readers of this package. What none of them knows is read as text. */
export const builtinReaders: readonly Reader[] = [htmlReader];
export const fallback: Reader = textReader;
