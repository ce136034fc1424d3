// public: metadata
import { operator, type Passage, passages } from "@tessera/core";
import { z } from "zod";
import { languageOf } from "./languages.js";

const quotes = /^(?:[a-zA-Z]{0,2})("""|''')/;

/** The words of the comment at the head of a code passage, or of its Python docstring; empty where it has none. */
function documentation(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  const block: string[] = [];
  for (const line of lines) {
    if (!/^(?:\/\/|\/\*|\*|#(?!!))/.test(line) || /^#\s*(?:include|define|region)/.test(line)) break;
    block.push(line.replace(/^(?:\/\/+|\/\*+|\*+\/|\*|#+)\s?/, "").replace(/\s*\*+\/$/, ""));
    if (line.endsWith("*/")) break;
  }
  if (block.some((line) => line.trim() !== "")) return block.join("\n").trim();
  const body = lines.findIndex((line) => quotes.test(line));
  const before = lines.slice(0, Math.max(body, 0));
  if (body < 0 || (body > 0 && !before.at(-1)!.endsWith(":"))) return "";
  const [opening, mark] = quotes.exec(lines[body]!)!;
  const rest = [lines[body]!.slice(opening.length), ...lines.slice(body + 1)].join("\n");
  return rest.slice(0, rest.includes(mark!) ? rest.indexOf(mark!) : undefined).trim();
}

/** Up to the end of the first sentence, an empty line, or a tag such as `@param`. */
const firstSentence = (text: string): string =>
  (/^(?:(?!\n\s*\n|\n?@\w)[\s\S])*?(?:[.!?。](?=\s|$)|(?=\n\s*\n|\n@)|$)/u.exec(text)?.[0] ?? "")
    .replace(/\s+/g, " ")
    .trim();

const facts = {
  language: ({ source }: Passage) => source && languageOf(source.path),
  path: ({ source }: Passage) => source?.path,
  file: ({ source }: Passage) => source?.path.split("/").at(-1),
  folder: ({ source }: Passage) => source?.path.split("/").slice(0, -1).join("/"),
  symbol: ({ source }: Passage) => source?.symbol,
  summary: ({ text, source }: Passage) => {
    const prose = source === undefined || ["markdown", "text"].includes(languageOf(source.path));
    return (prose ? undefined : firstSentence(documentation(text))) || undefined;
  },
} as const;
const names = Object.keys(facts) as (keyof typeof facts)[];

/**
 * Attaches metadata that filters and prompts can use: facts of the source, the first sentence of its documentation,
 * and constants such as a version, an author or an access list. Constants win over facts, and facts over what was there;
 * a fact that a passage does not have is left out.
 */
export const metadata = operator({
  name: "indexer.metadata",
  version: 1,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    paper: "Modular RAG, operator 2",
    summary: "Attaches facts of their source and constants to passages.",
  },
  config: z.strictObject({
    facts: z.array(z.enum(names)).default(["language", "path", "summary"]),
    constants: z.record(z.string(), z.json()).default({}),
  }),
  ports: { input: { passages }, output: { passages } },
  effects: "none",
  setup:
    ({ facts: wanted, constants }) =>
    ({ passages: list }) => ({
      passages: list.map((passage: Passage) => {
        const attached: Passage["metadata"] = { ...passage.metadata };
        for (const name of wanted) {
          const value = facts[name](passage);
          if (value !== undefined) attached[name] = value;
        }
        return { ...passage, metadata: { ...attached, ...constants } };
      }),
    }),
});
