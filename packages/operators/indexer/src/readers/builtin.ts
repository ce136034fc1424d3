import { csvReader } from "./csv.js";
import { docxReader } from "./docx.js";
import { htmlReader } from "./html.js";
import { notebookReader } from "./notebook.js";
import { pdfReader } from "./pdf.js";
import type { Reader } from "./reader.js";
import { textReader } from "./text.js";
import { xlsxReader } from "./xlsx.js";

/** The readers of this package. What none of them knows is read as text. */
export const builtinReaders: readonly Reader[] = [
  pdfReader,
  docxReader,
  xlsxReader,
  csvReader,
  htmlReader,
  notebookReader,
];
export const fallback: Reader = textReader;
