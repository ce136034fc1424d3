import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { chunkCode } from "./outline.js";

const chunk = (path: string, text: string, maximum = 400): Promise<Passage[]> =>
  chunkCode({ id: path, text, source: { path }, metadata: {} }, { maximum });
const symbolsOf = (passages: readonly Passage[]) => passages.flatMap(({ source }) => source?.symbol ?? []);

// by path: a text, and what is defined in it as a passage of its own
const files: Record<string, [text: string, symbols: string[]]> = {
  "a.go": [
    "package a\n\n// F adds.\nfunc F(x int) int {\n\treturn x\n}\n\n// Serve serves.\nfunc (s *Server[T]) Serve() {\n\ts.run()\n}\n\n// T is a type.\ntype T struct {\n\ta int\n}\n\nconst (\n\tA = 1\n\tB = 2\n)\n",
    ["F", "Server.Serve", "T"],
  ],
  "A.java": [
    "package a;\n\n/** A class. */\n@X\npublic class A {\n  int f = 1;\n  /** A method. */\n  @Override\n  void m() {\n    f();\n  }\n}\n\ninterface I {\n  void z();\n}\n\nenum E {\n  P, Q;\n}\n",
    ["A", "I", "E"],
  ],
  "a.rs": [
    "/// Doc.\n#[derive(Debug)]\npub struct S {\n  a: i32,\n}\n\nimpl<T> Tr for S<T> {\n  /// M.\n  fn m(&self) {\n    1;\n  }\n}\n\n/// G.\npub fn g() {\n  2;\n}\n\nmacro_rules! mm {\n  () => {};\n}\n",
    ["S", "S", "g", "mm"],
  ],
  "a.c": [
    "#ifndef A\n#define A\n\n/* Adds. */\nstatic int *add(int a)\n{\n  return 0;\n}\n\nstruct point {\n  int x;\n};\n\nint proto(int);\n#endif\n",
    ["add", "point"],
  ],
  "a.cpp": [
    'namespace n {\n/// A class.\ntemplate <typename T>\nclass C {\n public:\n  int f() { return 1; }\n};\n}\n\n// Runs.\nint Foo::bar(int x) {\n  return x;\n}\n\nextern "C" {\nvoid ex(void) {\n  1;\n}\n}\n',
    ["n", "Foo.bar", "ex"],
  ],
  "a.cs": [
    "namespace N;\n\n/// <summary>x</summary>\n[Attr]\npublic class A {\n  void M() {\n  }\n}\n\nrecord R(int a) {\n  int B => 1;\n}\n",
    ["A", "R"],
  ],
  "a.php": [
    "<?php\n\n/** Doc. */\nfunction f() {\n  return 1;\n}\n\nclass C {\n  public function m() {\n  }\n}\n",
    ["f", "C"],
  ],
  "a.rb": ["# Doc.\nclass C\n  def m(a)\n    a\n  end\nend\n\n# Runs.\ndef run\n  1\nend\n", ["C", "run"]],
  "a.sh": ["# Doc.\nf() {\n  echo 1\n}\n\nfunction g {\n  echo 2\n}\n", ["f", "g"]],
  "a.css": [
    "/* Doc. */\n.a,\n.b {\n  color: red;\n}\n\n@media print {\n  .d { color: blue; }\n}\n",
    [".a,", "@media print"],
  ],
  "a.kt": [
    "/** Doc. */\n@X\nclass C(val a: Int) {\n  fun m() {\n    1\n  }\n}\n\n// Runs.\nsuspend fun <T> run(\n  a: Int,\n) {\n  2\n}\n",
    ["C", "run"],
  ],
  "a.swift": [
    "/// Doc.\npublic struct S {\n  func m() {\n    1\n  }\n}\n\nfunc run(a: Int) -> Int {\n  return a\n}\n",
    ["S", "run"],
  ],
  "a.scala": ["object A {\n  def f(x: Int): Int = {\n    x\n  }\n}\n\ntrait T {\n  def g: Int\n}\n", ["A", "T"]],
  "a.dart": [
    "/// Doc.\nint badgeColourOf(int level) {\n  return level;\n}\n\nclass C {\n  void m() {\n    1;\n  }\n}\n",
    ["badgeColourOf", "C"],
  ],
  "a.ex": ['defmodule A do\n  @doc "x"\n  def f(a) do\n    a\n  end\nend\n', ["A"]],
  "a.lua": ["-- Doc.\nlocal function f(a)\n  return a\nend\n\nfunction M.g()\n  return 1\nend\n", ["f", "M.g"]],
  "a.tf": [
    '# Doc.\nresource "aws_s3_bucket" "logs" {\n  bucket = "x"\n}\n\nvariable "size" {\n  default = 1\n}\n',
    ["resource.aws_s3_bucket.logs", "variable.size"],
  ],
  "a.vue": [
    '<script setup lang="ts">\n/** Doc. */\nfunction first(): number {\n  return 1;\n}\n\nconst second = () => {\n  return 2;\n};\n</script>\n\n<template>\n  <p>{{ first() }}</p>\n</template>\n\n<style>\n.a {\n  color: red;\n}\n</style>\n',
    ["first", "second", ".a"],
  ],
  "a.svelte": [
    "<script>\n  // Doc.\n  function first() {\n    return 1;\n  }\n</script>\n\n<p>{first()}</p>\n",
    ["first"],
  ],
  "a.js": [
    "(function () {\n" +
      "  // Doc.\n  function inner() {\n    return 1;\n  }\n\n  function other() {\n    return 2;\n  }\n" +
      "  inner();\n".repeat(8) +
      "})();\n",
    ["inner", "other"],
  ],
};

describe.each(Object.entries(files))("%s", (path, [text, symbols]) => {
  it("has its definitions, each whole and with its comment", async () => {
    const passages = await chunk(path, text);
    expect(symbolsOf(passages)).toEqual(symbols);
    const lines = text.split("\n");
    for (const { text: own, source } of passages) {
      const [from, to] = source!.lines!;
      expect(own).toBe(lines.slice(from - 1, to).join("\n"));
    }
    // the line above a comment's end is never in another passage than what follows
    for (const [row, line] of lines.entries()) {
      if (!/Doc\.|Runs\.|<summary>|A class\.|Serve serves|Adds\./.test(line)) continue;
      const holder = passages.find(({ source }) => source!.lines![0] <= row + 1 && row + 1 <= source!.lines![1]);
      expect(holder!.source!.lines![1]).toBeGreaterThan(row + 2);
    }
  });

  it("says its lines once, and loses none with a word", async () => {
    const passages = await chunk(path, text, 16);
    const said = new Set(
      passages.flatMap(({ source }) => {
        const [from, to] = source!.lines!;
        return Array.from({ length: to - from + 1 }, (_, index) => from + index);
      }),
    );
    for (const [row, line] of text.split("\n").entries())
      if (/[\p{L}\p{N}]{3}/u.test(line) && !/^(?:end|<\/\w+>)$/.test(line.trim())) expect(said).toContain(row + 1);
    expect(passages.reduce((sum, { source }) => sum + source!.lines![1] - source!.lines![0] + 1, 0)).toBe(said.size);
  });
});

describe("names of a declaration", () => {
  it("that takes a value apart are symbols of their own, and no passage is called by its pattern", async () => {
    const names = Array.from({ length: 10 }, (_, index) => `name${index}`);
    const text = `const {\n${names.map((name) => `  ${name},`).join("\n")}\n  old: renamed,\n  ...rest\n} = require("x");\n\nconst first = 1,\n  second = 2;\n`;
    const passages = await chunk("a.js", text);
    expect(symbolsOf(passages)).toEqual([]);
    expect(passages.flatMap(({ metadata }) => metadata.symbols)).toEqual([
      ...names,
      "renamed",
      "rest",
      "first",
      "second",
    ]);
  });

  it("is not the word that follows a missing one", async () => {
    const passages = await chunk("a.ts", "export default abstract class extends X {\n  a() {\n    return 1;\n  }\n}\n");
    expect(symbolsOf(passages)).toEqual(["default"]);
  });
});
