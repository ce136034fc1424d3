import { stripVTControlCharacters } from "node:util";
import { type Block, type Reader, UnreadFile } from "./reader.js";

interface Output {
  readonly output_type?: string;
  readonly text?: string | string[];
  readonly data?: Record<string, string | string[]>;
  readonly ename?: string;
  readonly evalue?: string;
}
interface NotebookCell {
  readonly cell_type?: string;
  readonly source?: string | string[];
  readonly input?: string | string[];
  readonly outputs?: Output[];
}
interface Notebook {
  readonly cells?: NotebookCell[];
  readonly worksheets?: { readonly cells?: NotebookCell[] }[];
  readonly metadata?: {
    readonly kernelspec?: { readonly language?: string };
    readonly language_info?: { readonly name?: string };
  };
}

const longest = 2_000; // characters of an output
const joined = (text: string | string[] | undefined): string => (Array.isArray(text) ? text.join("") : (text ?? ""));

/** What an output shows as text; pictures show nothing. */
function outputText({ text, data, ename, evalue }: Output): string {
  const shown =
    text !== undefined
      ? joined(text)
      : ename !== undefined
        ? `${ename}: ${evalue ?? ""}`
        : joined(data?.["text/plain"] ?? data?.["text/markdown"]);
  const isPicture = data !== undefined && Object.keys(data).some((type) => type.startsWith("image/"));
  if (isPicture && /^<[\w.]+.*>$/s.test(shown.trim())) return ""; // "<Figure size 640x480 with 1 Axes>"
  const clean = stripVTControlCharacters(shown).trimEnd();
  return clean.length > longest ? `${clean.slice(0, longest)} …` : clean;
}

/** Jupyter notebooks: cells of text as Markdown, cells of code in the language of the kernel, what they printed. */
export const notebookReader: Reader = {
  name: "notebook",
  version: 1,
  extensions: ["ipynb"],
  binary: true,
  async read({ bytes }, context) {
    let notebook: Notebook;
    try {
      notebook = JSON.parse(await context.text(bytes)) as Notebook;
    } catch (cause) {
      if (cause instanceof UnreadFile) throw cause;
      throw new UnreadFile("damaged", "it is no JSON");
    }
    const { metadata } = notebook;
    const language = (metadata?.language_info?.name ?? metadata?.kernelspec?.language ?? "python").toLowerCase();
    const cells = notebook.cells ?? notebook.worksheets?.flatMap((sheet) => sheet.cells ?? []) ?? [];
    const blocks: Block[] = [];
    for (const [index, cell] of cells.entries()) {
      const place = { unit: "cell", from: index + 1, to: index + 1 } as const;
      const text = joined(cell.source ?? cell.input).replace(/\r\n?/g, "\n");
      // pictures that were pasted into the text
      if (cell.cell_type === "markdown" || cell.cell_type === "heading")
        blocks.push({
          kind: "markdown",
          text: text.replace(/!\[([^\]]*)\]\((?:attachment|data):[^)]*\)/g, "$1"),
          place,
        });
      else if (cell.cell_type === "code") {
        if (text.trim() !== "") blocks.push({ kind: "code", text, language, place });
        const outputs = (cell.outputs ?? []).map(outputText).filter((output) => output.trim() !== "");
        if (outputs.length > 0) blocks.push({ kind: "code", text: outputs.join("\n"), language: "text", place });
      } else if (text.trim() !== "") blocks.push({ kind: "paragraph", text, place });
    }
    return { kind: "blocks", blocks };
  },
};
