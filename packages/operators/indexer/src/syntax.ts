import { createRequire } from "node:module";
import type { TesseraError } from "@tessera/core";
import { missing, readingThreads, warn } from "@tessera/core/internal";
import type { Parser } from "web-tree-sitter";
import type { Definition } from "./definitions.js";

// of @vscode/tree-sitter-wasm, by language; the grammar of C++ reads C as well
const grammars: Record<string, string> = {
  typescript: "tree-sitter-typescript",
  tsx: "tree-sitter-tsx",
  javascript: "tree-sitter-javascript",
  python: "tree-sitter-python",
  c: "tree-sitter-cpp",
  cpp: "tree-sitter-cpp",
  csharp: "tree-sitter-c-sharp",
  css: "tree-sitter-css",
  go: "tree-sitter-go",
  java: "tree-sitter-java",
  php: "tree-sitter-php",
  ruby: "tree-sitter-ruby",
  rust: "tree-sitter-rust",
  shell: "tree-sitter-bash",
};

const engine = "web-tree-sitter/web-tree-sitter.wasm";
const grammarFile = (language: string): string => `@vscode/tree-sitter-wasm/wasm/${grammars[language]}.wasm`;

/** Whether a language can be parsed. */
export const hasGrammar = (language: string): boolean => Object.hasOwn(grammars, language);

let installed: boolean | undefined;

/** Whether the packages that parse code are installed. Where they are not, a warning says so once. */
export function canParse(): boolean {
  if (installed !== undefined) return installed;
  const require = createRequire(import.meta.url);
  try {
    for (const file of [engine, grammarFile("javascript")]) require.resolve(file);
    installed = true;
  } catch (cause) {
    installed = false;
    try {
      missing("web-tree-sitter")(cause);
    } catch (error) {
      const { message, hint } = error as TesseraError;
      warn(`code is cut at lines, not at functions. ${message}: ${hint}, and index again with rebuild`);
    }
  }
  return installed;
}

/** A parser for a language. @throws TesseraError DEPENDENCY_MISSING where the parser or the grammar cannot be loaded. */
export async function openParser(language: string): Promise<Parser> {
  const require = createRequire(import.meta.url);
  const { Parser, Language } = await import("web-tree-sitter").catch(missing("web-tree-sitter", language));
  try {
    await Parser.init({ locateFile: () => require.resolve(engine) });
    const parser = new Parser();
    parser.setLanguage(await Language.load(require.resolve(grammarFile(language))));
    return parser;
  } catch (cause) {
    return missing("@vscode/tree-sitter-wasm", language)(cause);
  }
}

/** How long a parser may take for one file, in milliseconds; a file of megabytes takes a second. */
const limitMs = 20_000;

const threads = readingThreads<Definition[]>(new URL("./syntax-worker.js", import.meta.url), limitMs);

/**
 * What is defined in a file, read in a thread; nothing where the parser does not end in time or fails on it: the file's
 * lines remain.
 * @throws TesseraError DEPENDENCY_MISSING, and the reason of the signal.
 */
export async function definitionsOf(text: string, language: string, signal?: AbortSignal): Promise<Definition[]> {
  const reading = await threads(language).run(text, { signal });
  return "value" in reading ? reading.value : [];
}
