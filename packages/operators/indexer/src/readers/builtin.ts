import { asciidocReader } from "./asciidoc.js";
import { csvReader } from "./csv.js";
import { docxReader } from "./docx.js";
import { drawingReader } from "./drawing.js";
import { emlReader, mboxReader } from "./email.js";
import { epubReader } from "./epub.js";
import { htmlReader } from "./html.js";
import { jsonLinesReader, jsonReader } from "./json.js";
import { mdxReader } from "./mdx.js";
import { notebookReader } from "./notebook.js";
import { orgReader } from "./org.js";
import { pdfReader } from "./pdf.js";
import { pptxReader } from "./pptx.js";
import type { Reader } from "./reader.js";
import { rstReader } from "./rst.js";
import { textReader } from "./text.js";
import { xlsxReader } from "./xlsx.js";
import { yamlReader } from "./yaml.js";

/** The readers of this package. What none of them knows is read as text. */
export const builtinReaders: readonly Reader[] = [
  pdfReader,
  docxReader,
  pptxReader,
  xlsxReader,
  epubReader,
  csvReader,
  htmlReader,
  notebookReader,
  emlReader,
  mboxReader,
  jsonReader,
  jsonLinesReader,
  yamlReader,
  asciidocReader,
  rstReader,
  orgReader,
  mdxReader,
  drawingReader,
];
export const fallback: Reader = textReader;
