import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { z } from "zod";
import { type ErrorCode, errorBody, errorCodes, logLine, messageOf, TesseraError } from "./errors.js";

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

describe("errorBody, which leaves the process", () => {
  const codes = fc.constantFrom(...(Object.keys(errorCodes) as ErrorCode[]));
  // what a database, a service or an operator says: never a part of our own words
  const foreign = fc.stringMatching(/^[a-z]{6}#[a-z]{6}$/);

  /** An error of any code that repeats foreign words in its message or hint, with them as its cause somewhere below. */
  const errors = fc
    .record({ code: codes, words: foreign, depth: fc.nat(3), hint: fc.boolean(), inFinding: fc.boolean() })
    .map(({ code, words, depth, hint, inFinding }) => {
      let cause: unknown = new Error(words);
      for (let level = 0; level < depth; level++)
        cause = level % 2 ? new Error("outer", { cause }) : new TesseraError("NODE_FAILED", `so: ${words}`, { cause });
      const said = { path: "ask/one", cause, ...(hint && { hint: `they say ${words}` }) };
      const error = new TesseraError(code, `it failed: ${words}`, said);
      const outer = inFinding ? new TesseraError("INVALID_FLOW", `1 finding: ${words}`, { findings: [error] }) : error;
      return { words, error: outer };
    });

  it("never repeats what others said, whatever its code and wherever it stands", () => {
    fc.assert(
      fc.property(errors, ({ words, error }) => {
        const body = JSON.stringify(errorBody(error));
        expect(body).not.toContain(words);
        expect(body).toContain("ask/one");
        expect(logLine(error)).toContain(words);
      }),
      { numRuns: 2000 },
    );
  });

  it("never throws, whatever the cause does when it is looked at", () => {
    const boom = (): never => {
      throw new Error("boom");
    };
    const trap = new Proxy({}, new Proxy({}, { get: () => boom })) as object;
    const silent = Object.defineProperty(new Error("x"), "message", { get: boom });
    const chained = Object.defineProperty(new Error("x"), "cause", { get: boom });
    for (const cause of [trap, silent, chained, Object.create(null), Symbol("s"), new Error("x", { cause: trap })])
      for (const code of Object.keys(errorCodes) as ErrorCode[]) {
        const error = new TesseraError(code, "it failed", { cause });
        expect(errorBody(error)).toHaveProperty("code", code);
        expect(logLine(error)).toContain(code);
      }
  });

  it("says in our words what the caller can mend, and covers secrets even there", () => {
    const issue = z.object({ top: z.number() }).safeParse({ top: "x" }).error;
    const bad = new TesseraError("BAD_INPUT", `input: ${messageOf(issue)}`, { cause: issue, hint: "give a number" });
    expect(errorBody(bad)).toEqual({ code: "BAD_INPUT", message: bad.message, hint: "give a number" });
    const leaking = new TesseraError("BAD_INPUT", "no answer of postgres://ann:secretword@db/x");
    expect(errorBody(leaking).message).not.toContain("secretword");
  });

  it.each(["NODE_FAILED", "MODEL_FAILED", "STORE_FAILED", "SETUP_FAILED", "INTERNAL", "BAD_SOURCE"] as const)(
    "of %s gives the meaning of the code, without message and hint, which may be another's",
    (code) => {
      const error = new TesseraError(code, "cannot reach the host vault", { path: "ask/one", hint: "user root" });
      expect(errorBody(error)).toEqual({ code, message: errorCodes[code], path: "ask/one" });
    },
  );

  it.each(["/etc/secret", "C:\\data\\keys", "\\\\host\\share", "postgres://db.internal/name", "~/keys"])(
    "names no place of the machine: %s",
    (path) => {
      expect(errorBody(new TesseraError("CONFLICT", "it is taken", { path }))).not.toHaveProperty("path");
    },
  );

  it("survives causes that cannot be read, and causes without an end", () => {
    const hostile = Object.defineProperty(new Error("x"), "cause", {
      get() {
        throw new Error("no");
      },
    });
    const circle = new Error("round");
    circle.cause = circle;
    for (const cause of [hostile, circle, null, 0, Symbol("s")]) {
      const error = new TesseraError("CONFLICT", "it is taken", { cause });
      expect(errorBody(error)).toEqual({ code: "CONFLICT", message: "it is taken" });
      expect(logLine(error)).toContain("CONFLICT: it is taken");
    }
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
