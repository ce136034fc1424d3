import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { code } from "./code.js";
import { chunkCode } from "./outline.js";

const documentOf = (path: string, text: string, metadata: Passage["metadata"] = {}): Passage => ({
  id: path,
  text,
  source: { path },
  metadata,
});
const chunk = (path: string, text: string, maximum = 400) => chunkCode(documentOf(path, text), { maximum });
const symbols = (passages: Passage[]) => passages.map(({ source, metadata }) => `${metadata.kind} ${source?.symbol}`);

/**
 * What every chunking of a file must keep, whatever the file: exact text but for what ends its lines and for lines that no
 * person wrote, each line with words once, known parents.
 */
function checkInvariants(text: string, passages: Passage[]): void {
  const lines = text.split(/\r\n|\r|\n/).map((line) => (line.length > 10_000 ? `${line.slice(0, 200)} …` : line));
  const covered = new Map<number, number>();
  const wrong = passages.filter(({ text: body, source }) => {
    const [from, to] = source!.lines!;
    for (let line = from; line <= to; line++) covered.set(line, (covered.get(line) ?? 0) + 1);
    return body !== lines.slice(from - 1, to).join("\n");
  });
  expect(wrong).toEqual([]);
  expect([...covered].filter(([, times]) => times > 1)).toEqual([]);
  expect(lines.filter((line, row) => /[\p{L}\p{N}]/u.test(line) && !covered.has(row + 1))).toEqual([]);
  const ids = new Set(passages.map(({ id }) => id));
  expect(ids.size).toBe(passages.length);
  expect(passages.filter(({ parent }) => parent !== undefined && !ids.has(parent))).toEqual([]);
}

const source = `/* licence */

import { a } from "a";

/** Waits longer after each failure. */
@sealed
export class Retry extends Base {
  private tries = 0;
  /** How long to wait. */
  @memo()
  backoff(attempt: number): number {
    return 2 ** attempt;
  }
  static of = () => new Retry();
}

// the limit
export const limit = 3; // tries

function overload(a: string): void;
function overload(a: number): void;
function overload(a: unknown): void {
  console.log(a);
}

/** A pause. */
export const sleep = async (ms: number) => {
  await a(ms);
};
export default function () {}
declare module "x" {
  export interface Y {
    z: 1;
  }
}
exports.legacy = function () {};
Retry.prototype.late = function () {};
`;

testOperator(code, {
  cases: [
    {
      name: "cuts TypeScript by its definitions",
      input: { documents: [documentOf("src/retry.ts", source)] },
      output: ({ passages }) => {
        checkInvariants(source, passages as Passage[]);
        expect(symbols(passages as Passage[])).toEqual([
          "module undefined",
          "class Retry",
          "module undefined",
          "function overload",
          "function sleep",
          "function default",
          "namespace x",
          "function legacy",
          "function Retry.late",
        ]);
        const retry = (passages as Passage[])[1]!;
        expect(retry.id).toBe("src/retry.ts#Retry");
        expect(retry.title).toBe("src/retry.ts: Retry");
        expect(retry.source!.lines).toEqual([5, 15]);
        expect(retry.metadata).toEqual({ language: "typescript", kind: "class" });
        expect((passages as Passage[])[2]!.metadata.symbols).toEqual(["limit"]);
        expect((passages as Passage[])[3]!.text.match(/function overload/g)).toHaveLength(3);
      },
    },
    {
      name: "gives a large class a header and members",
      config: { maximum: 40 },
      input: { documents: [documentOf("src/retry.ts", source)] },
      output: ({ passages }) => {
        checkInvariants(source, passages as Passage[]);
        const members = (passages as Passage[]).filter(({ parent }) => parent === "src/retry.ts#Retry");
        expect(symbols(members)).toEqual(["method Retry.backoff", "method Retry.of"]);
        expect(members[0]!.text.startsWith("  /** How long to wait. */\n  @memo()\n  backoff")).toBe(true);
      },
    },
    {
      name: "has nothing to say of an empty file",
      input: { documents: [documentOf("a.ts", ""), documentOf("b.py", "\n\n")] },
      output: { passages: [] },
    },
  ],
});

describe("chunkCode", () => {
  it("cuts Python: decorators, async functions, methods of a large class", async () => {
    const python = `"""Module."""
import os

LIMIT = 3

# runs
@decorated
async def run(a,
              b):
    """Runs."""
    return a

class Store(Base):
    """Holds."""
    size = 0

    def put(self, key):
        self.data[key] = 1

    @property
    def last(self):
        return self.data[-1]

if __name__ == "__main__":
    run(1, 2)
`;
    const small = await chunk("a.py", python, 30);
    checkInvariants(python, small);
    expect(symbols(small)).toEqual([
      "module undefined",
      "function run",
      "class Store",
      "method Store.put",
      "method Store.last",
      "module undefined",
    ]);
    expect(small[1]!.text.startsWith("# runs\n@decorated\nasync def run")).toBe(true);
    expect(symbols(await chunk("a.py", python))).toEqual([
      "module undefined",
      "function run",
      "class Store",
      "module undefined",
    ]);
  });

  it("reads TSX and JavaScript", async () => {
    const tsx = "export const Box = ({ a }: { a: string }) => (\n  <div>\n    {a}\n  </div>\n);\n";
    expect(symbols(await chunk("box.tsx", tsx))).toEqual(["function Box"]);
    expect(symbols(await chunk("a.mjs", "class A {\n  #x = 1;\n  get x() {\n    return 1;\n  }\n}\n"))).toEqual([
      "class A",
    ]);
  });

  it("cuts a long function into parts whose parent is the first", async () => {
    const body = Array.from({ length: 40 }, (_, i) => `  step(${i});`).join("\n");
    const text = `export function long() {\n${body}\n}\n`;
    const parts = await chunk("long.ts", text, 60);
    checkInvariants(text, parts);
    expect(parts.length).toBeGreaterThan(3);
    expect(new Set(parts.map((part) => part.source?.symbol))).toEqual(new Set(["long"]));
    expect(parts.map(({ parent }) => parent)).toEqual([undefined, ...parts.slice(1).map(() => "long.ts#long")]);
  });

  it("still finds what is whole in broken code", async () => {
    const text =
      "function whole() {\n  return 1;\n}\n\nclass Half {\n  method( {\n    }\n\nfunction after() {\n  return 2;\n}\n";
    const passages = await chunk("broken.ts", text);
    checkInvariants(text, passages);
    expect(passages[0]!.source?.symbol).toBe("whole");
  });

  it("falls back to lines for a language it cannot parse, and to headings for Markdown", async () => {
    const proto = "package main;\n\nmessage A {\n}\n";
    expect(await chunk("main.proto", proto)).toMatchObject([
      { source: { lines: [1, 4] }, metadata: { language: "protobuf", kind: "text" } },
    ]);
    expect((await chunk("README.md", "# Title\n\nWords.\n"))[0]!.title).toBe("Title");
  });

  it("keeps ids of what only moved", async () => {
    const moved = await chunk("src/retry.ts", `// new first line\n\n${source}`);
    const before = await chunk("src/retry.ts", source);
    const texts = new Map(moved.map(({ id, text }) => [id, text]));
    const kept = before.filter(({ id, text }) => texts.get(id) === text);
    expect(kept.length).toBeGreaterThanOrEqual(before.length - 1);
  });

  it("passes the access list of a document on to its passages", async () => {
    const document = documentOf("a.ts", "function a() {}", { access: ["ann"] });
    expect((await chunkCode(document, { maximum: 100 }))[0]!.metadata.access).toEqual(["ann"]);
  });

  it("gives exact lines and loses none, for any text in any language and size", async () => {
    const fragment = fc.oneof(
      fc.constantFrom(
        "function f() {",
        "}",
        "  }",
        "class A {",
        "  m() {",
        "  x = 1;",
        "const a = () => {",
        "};",
        "// c",
        "/* open",
        "*/",
        "",
        "`",
        "@d",
        "export default {",
        "def f(x):",
        "    return 1",
        "class B:",
        '"""',
        "# h",
        "f(); function g() {} class C { m() {} }",
        "\r",
        "\t",
        "```",
        "---",
        "===",
        "😀 é",
      ),
      fc.string({ maxLength: 20, unit: "binary" }).map((line) => line.replaceAll("\n", " ")),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fragment, { maxLength: 40 }),
        fc.constantFrom("a.ts", "a.tsx", "a.js", "a.py", "a.md", "a.txt"),
        fc.integer({ min: 16, max: 60 }),
        async (lines, path, maximum) => {
          const text = lines.join("\n");
          checkInvariants(text, await chunk(path, text, maximum));
        },
      ),
      { numRuns: 400 },
    );
  });

  it("finds every definition of generated code under its qualified name, on its lines", async () => {
    const name = fc.stringMatching(/^[a-z]{3,8}[0-9]{1,3}$/);
    const piece = fc.oneof(
      name.map((n) => ({ text: `/** ${n} */\nfunction ${n}() {\n  return 1;\n}`, names: [n] })),
      name.map((n) => ({ text: `export const ${n} = () => {\n  return 1;\n};`, names: [n] })),
      fc.tuple(name, fc.uniqueArray(name, { minLength: 3, maxLength: 5 })).map(([n, methods]) => ({
        text: `class ${n} {\n${methods.map((m) => `  /* ${m} */\n  ${m}(a: string) {\n    return a + a;\n  }`).join("\n")}\n}`,
        names: [n, ...methods.map((m) => `${n}.${m}`)],
      })),
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(piece, { selector: ({ names }) => names[0], maxLength: 8 }), async (pieces) => {
        const text = pieces.map((part) => part.text).join("\n\n");
        const passages = await chunk("a.ts", text, 30);
        checkInvariants(text, passages);
        expect(passages.map(({ source }) => source?.symbol)).toEqual(pieces.flatMap(({ names }) => names));
        for (const { source, text: body } of passages) expect(body).toContain(source!.symbol!.split(".").at(-1));
      }),
      { numRuns: 100 },
    );
  });

  it("keeps its promises on the source of zod", async () => {
    const root = join(dirname(createRequire(import.meta.url).resolve("zod/package.json")), "src");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
    expect(files.length).toBeGreaterThan(200);
    const found = new Set<string>();
    for (const path of files) {
      const text = readFileSync(join(root, path), "utf8");
      const passages = await chunk(path, text);
      checkInvariants(text, passages);
      for (const { source } of passages) if (source?.symbol) found.add(source.symbol);
    }
    for (const symbol of ["ZodError.addIssue", "getParsedType", "$ZodType", "toJSONSchema"])
      expect(found).toContain(symbol);
  });
});
