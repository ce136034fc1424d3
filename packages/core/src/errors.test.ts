import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { z } from "zod";
import { errorCodes, messageOf, TesseraError } from "./errors.js";

describe("TesseraError", () => {
  const cause = new Error("disk full");
  const finding = new TesseraError("UNKNOWN_NODE", "no such node", { path: "ask.nodes.b" });
  const error = new TesseraError("INVALID_FLOW", "two findings", {
    path: "ask",
    hint: "mend them",
    cause,
    findings: [finding],
  });

  it("carries code, place, hint, cause and findings", () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "TesseraError", code: "INVALID_FLOW", path: "ask", hint: "mend them", cause });
    expect(error.findings).toEqual([finding]);
    expect("cause" in finding).toBe(false);
  });

  it("is plain data as JSON, without a stack", () => {
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: "INVALID_FLOW",
      message: "two findings",
      path: "ask",
      hint: "mend them",
      findings: [{ code: "UNKNOWN_NODE", message: "no such node", path: "ask.nodes.b" }],
      cause: "disk full",
    });
  });

  it("is known across copies of the package, and nothing else is taken for it", () => {
    const copy = { [Symbol.for("tessera.error")]: true };
    expect(TesseraError.is(copy)).toBe(true);
    for (const other of [new Error("x"), null, undefined, "x", {}, { code: "CYCLE" }])
      expect(TesseraError.is(other)).toBe(false);
  });

  it("has a table in the order of the alphabet, one sentence a code", () => {
    const codes = Object.keys(errorCodes);
    expect(codes).toEqual([...codes].sort());
    for (const [code, meaning] of Object.entries(errorCodes)) {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
      expect(meaning).toMatch(/^[A-Z].*\.$/);
    }
  });

  it("has every code and its meaning in docs/errors.md, and no other", () => {
    const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
    expect(rows).toEqual(Object.entries(errorCodes));
  });
});

describe("messageOf", () => {
  it("says of a failed check what is wrong first, and where", () => {
    const { error } = z.object({ list: z.array(z.number()), name: z.string() }).safeParse({ list: [1, "x"] });
    expect(messageOf(error)).toMatch(/^list\[1\]: [^\n]+$/);
    expect(messageOf(z.string().safeParse(1).error)).toMatch(/^[^:]+: [^\n]+$/);
  });

  it("says something of anything that is thrown", () => {
    const hostile = {
      toString(): string {
        throw new Error("no");
      },
    };
    expect([new Error("x"), "y", undefined, 3, hostile, Object.create(null)].map(messageOf)).toEqual([
      "x",
      "y",
      "undefined",
      "3",
      "a value that cannot be printed",
      "a value that cannot be printed",
    ]);
  });
});
