import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { markdown } from "./markdown.js";

const page = `---
title: ignored # not a heading
---

Before.

# Guide

## Install \`now\`

Run this:

\`\`\`sh
# not a heading

npm start
\`\`\`

Underlined
----------

Text.

### Deep [link](http://x) ##

More.

# Other
End.
`;

const chunk = async (text: string, maximum = 400) =>
  (await runOperator(markdown, { maximum }, { documents: [{ id: "a.md", text, metadata: {} }] })).passages as Passage[];

testOperator(markdown, {
  cases: [
    {
      name: "keeps the path of headings",
      input: { documents: [{ id: "a.md", text: page, metadata: {} }] },
      output: ({ passages }) =>
        expect((passages as Passage[]).map(({ title, source, parent }) => [title, source!.lines, parent])).toEqual([
          [undefined, [1, 5], undefined],
          ["Guide > Install now", [7, 17], undefined],
          ["Guide > Underlined", [19, 22], undefined],
          ["Guide > Underlined > Deep link", [24, 26], "a.md#guide/underlined"],
          ["Other", [28, 29], undefined],
        ]),
    },
  ],
});

describe("indexer.markdown", () => {
  it("does not cut inside a fence that fits", async () => {
    const fence = `\`\`\`\n${Array.from({ length: 12 }, (_, i) => `line ${i}\n`).join("\n")}\`\`\``;
    const text = `# A\n\n${"Some words here.\n\n".repeat(6)}${fence}\n\n${"And more words.\n\n".repeat(6)}`;
    const parts = await chunk(text, 40);
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.filter((part) => part.text.includes("```")).map((part) => part.text.match(/```/g)!.length)).toEqual([
      2,
    ]);
    expect(parts.slice(1).every(({ parent }) => parent === "a.md#a")).toBe(true);
  });

  it("knows a fence of tildes, a longer fence, and one that never ends", async () => {
    expect(await chunk("~~~\n# a\n```\n# b\n~~~\n# c\nText.")).toHaveLength(2);
    expect(await chunk("````\n```\n# a\n````\n# b\nText.")).toHaveLength(2);
    expect(await chunk("```\n# a\n\n# b\n")).toHaveLength(1);
  });

  it("tells headings of the same name apart", async () => {
    const ids = (await chunk("# A\nx\n# A\ny\n")).map(({ id }) => id);
    expect(ids).toEqual(["a.md#a", "a.md#a~2"]);
  });

  it("gives exact lines and loses no words, for any text", async () => {
    const line = fc.constantFrom(
      "# a",
      "## b",
      "### c",
      "```",
      "~~~",
      "---",
      "===",
      "",
      "words here",
      "- item",
      "| a | b |",
      "    # code",
      "> quote",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 40 }), fc.integer({ min: 16, max: 50 }), async (lines, maximum) => {
        const passages = await chunk(lines.join("\n"), maximum);
        const seen = new Map<number, number>();
        for (const { text, source } of passages) {
          const [from, to] = source!.lines!;
          expect(text).toBe(lines.slice(from - 1, to).join("\n"));
          for (let at = from; at <= to; at++) seen.set(at, (seen.get(at) ?? 0) + 1);
        }
        for (const [row, content] of lines.entries()) {
          if (/[a-z]/.test(content)) expect(seen.get(row + 1)).toBe(1);
          else expect(seen.get(row + 1) ?? 0).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 500 },
    );
  });
});
