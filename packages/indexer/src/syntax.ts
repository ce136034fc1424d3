// internal
import { createRequire } from "node:module";
import { messageOf, TesseraError } from "@tessera/core";
import type { Language, Node, Parser } from "web-tree-sitter";

const grammars: Record<string, string> = {
  typescript: "tree-sitter-typescript",
  tsx: "tree-sitter-tsx",
  javascript: "tree-sitter-javascript",
  python: "tree-sitter-python",
};

/** Whether a language can be parsed. */
export const hasGrammar = (language: string): boolean => Object.hasOwn(grammars, language);

/** Parses source text. The parser and each grammar are loaded when they are first used, once a process. */
export class Syntax {
  static #module: Promise<typeof import("web-tree-sitter")> | undefined;
  static readonly #opened = new Map<string, Promise<Syntax>>();
  readonly #parser: Parser;

  private constructor(parser: Parser) {
    this.#parser = parser;
  }

  /** @throws TesseraError DEPENDENCY_MISSING where the parser or the grammar cannot be loaded. */
  static open(language: string): Promise<Syntax> {
    let opened = Syntax.#opened.get(language);
    if (!opened) {
      opened = Syntax.#load(language);
      opened.catch(() => Syntax.#opened.delete(language));
      Syntax.#opened.set(language, opened);
    }
    return opened;
  }

  static async #load(language: string): Promise<Syntax> {
    const require = createRequire(import.meta.url);
    try {
      Syntax.#module ??= import("web-tree-sitter").then(async (module) => {
        await module.Parser.init({ locateFile: () => require.resolve("web-tree-sitter/web-tree-sitter.wasm") });
        return module;
      });
      const { Parser, Language } = await Syntax.#module;
      const grammar: Language = await Language.load(
        require.resolve(`@vscode/tree-sitter-wasm/wasm/${grammars[language]}.wasm`),
      );
      const parser = new Parser();
      parser.setLanguage(grammar);
      return new Syntax(parser);
    } catch (cause) {
      Syntax.#module = undefined;
      throw new TesseraError("DEPENDENCY_MISSING", `the ${language} parser cannot be loaded: ${messageOf(cause)}`, {
        path: language,
        hint: "install web-tree-sitter and @vscode/tree-sitter-wasm, which come with @tessera/indexer",
        cause,
      });
    }
  }

  /** Parses a text and hands the root to `visit`; the tree is gone afterwards. Text that does not parse has ERROR nodes. */
  read<T>(text: string, visit: (root: Node) => T): T {
    const tree = this.#parser.parse(text);
    if (!tree) throw new TesseraError("BAD_SOURCE", "the parser gave no tree");
    try {
      return visit(tree.rootNode);
    } finally {
      tree.delete();
    }
  }
}
