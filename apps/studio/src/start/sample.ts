import { ask } from "../api/client.js";
import type { Passage, SourceIndex } from "../api/types.js";
import { texts } from "../texts.js";

const wordy = /^[\p{L}][\p{L}\p{N} ,'-]{5,50}$/u;

/** Questions about a folder that its index can answer: about what is defined in it, and about its headings. */
export async function sampleQuestions({ files }: SourceIndex): Promise<string[]> {
  const prose = files.filter(({ kind }) => ["md", "mdx", "rst", "html", "pdf", "docx"].includes(kind));
  const code = files.filter(({ kind }) => !["md", "json", "yaml", "yml", "lock", "none", "txt"].includes(kind));
  const chosen = [...prose.slice(0, 2), ...code.slice(0, 2)].slice(0, 3);
  const read = await Promise.all(
    chosen.map(({ path }) =>
      ask<{ passages: Passage[] }>(`/source/file?path=${encodeURIComponent(path)}`).catch(() => ({ passages: [] })),
    ),
  );
  const questions = read.flatMap(({ passages }, index) => {
    const isCode = code.includes(chosen[index]!);
    const symbol = passages.map(({ source }) => source?.symbol ?? "").find((name) => /^\w{4,40}$/.test(name));
    const heading = passages
      .map(({ title = "" }) => title.split(/[>›/]/).at(-1)!.trim())
      .find((one) => wordy.test(one));
    if (isCode && symbol !== undefined) return [texts.sample.symbol(symbol)];
    return heading === undefined ? [] : [texts.sample.title(heading)];
  });
  return [...new Set(questions.length > 0 ? questions : [texts.sample.plain])];
}
