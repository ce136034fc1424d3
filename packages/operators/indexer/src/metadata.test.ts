import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import { metadata } from "./metadata.js";

const passageOf = (path: string, text: string): Passage => ({
  id: path,
  text,
  source: { path, symbol: "A.b" },
  metadata: { kind: "method" },
});

testOperator(metadata, {
  cases: [
    {
      name: "attaches facts and constants, and keeps what is there",
      config: {
        facts: ["language", "path", "file", "folder", "symbol", "summary"],
        constants: { version: 2, access: ["ann"] },
      },
      input: { passages: [passageOf("src/a/b.ts", "/** Waits. Then\n * goes on. */\nb() {}")] },
      output: ({ passages }) =>
        expect((passages as Passage[])[0]!.metadata).toEqual({
          kind: "method",
          language: "typescript",
          path: "src/a/b.ts",
          file: "b.ts",
          folder: "src/a",
          symbol: "A.b",
          summary: "Waits.",
          version: 2,
          access: ["ann"],
        }),
    },
    {
      name: "leaves out facts of no source",
      input: { passages: [{ id: "x", text: "# A\nB.", metadata: {} }] },
      output: { passages: [{ id: "x", text: "# A\nB.", metadata: {} }] },
    },
  ],
});

describe("the summary", () => {
  const summaryOf = async (path: string, text: string) => {
    const { passages } = await runOperator(metadata, {}, { passages: [passageOf(path, text)] });
    return (passages as Passage[])[0]!.metadata.summary;
  };

  it.each([
    ["a.ts", "/**\n * Reads a\n * file.  More.\n * @param x\n */\nfunction a() {}", "Reads a file."],
    ["a.ts", "// one line\nconst a = 1", "one line"],
    ["a.ts", "/** No stop\n * @returns x */\nf()", "No stop"],
    ["a.ts", "/** Since v1.2.3 it waits. Or not. */\nf()", "Since v1.2.3 it waits."],
    ["a.ts", "const a = 1 // not this", undefined],
    ["a.py", 'def a():\n    """Adds.\n\n    More."""\n    return 1', "Adds."],
    ["a.py", "def a():\n    r'''Raw\n    words'''\n", "Raw words"],
    ["a.py", '# Above.\n@d\ndef a():\n    """In."""', "Above."],
    ["a.py", 'def a():\n    x = """no"""', undefined],
    ["a.c", "#include <x>\nint a;", undefined],
    ["a.md", "# Heading", undefined],
  ])("of %s %j", async (path, text, summary) => expect(await summaryOf(path, text)).toBe(summary));
});
