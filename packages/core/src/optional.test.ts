import { createRequire } from "node:module";
import { describe, expect, it } from "@jest/globals";
import { TesseraError } from "./errors.js";
import { installCommand, missing, optionalParts } from "./optional.js";

const thrownBy = (name: string, cause: unknown): TesseraError => {
  try {
    missing(name, "place")(cause);
  } catch (error) {
    if (TesseraError.is(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

/** As Node says it, with the code that it gives. */
const absent = (message: string, code = "ERR_MODULE_NOT_FOUND") => Object.assign(new Error(message), { code });

describe("an optional package that is missing", () => {
  it("is named with what it is for, and with the command that brings it", () => {
    const error = thrownBy("unpdf", absent("Cannot find package 'unpdf' imported from /app/index.js"));
    expect([error.code, error.path]).toEqual(["DEPENDENCY_MISSING", "place"]);
    expect(error.message).toBe("PDF: this needs the package unpdf, which is not installed");
    expect(error.hint).toBe("npm install unpdf@1.8.1");
  });

  it("brings what it is used with in the same command", () => {
    const cause = absent("Cannot find module '@vscode/tree-sitter-wasm/wasm/tree-sitter-css.wasm'", "MODULE_NOT_FOUND");
    const error = thrownBy("@vscode/tree-sitter-wasm", cause);
    expect(error.message).toContain("web-tree-sitter and @vscode/tree-sitter-wasm, which are not installed");
    expect(error.hint).toBe("npm install web-tree-sitter@0.27.2 @vscode/tree-sitter-wasm@0.3.1");
  });

  it("is told from one that is there and broken, or that lacks something itself", () => {
    const broken = thrownBy("webgpu", new Error("libvulkan.so.1: cannot open shared object file"));
    expect(broken.message).toContain("webgpu cannot be loaded: libvulkan.so.1");
    const inside = thrownBy(
      "pg",
      absent("Cannot find package 'pg-pool' imported from /app/node_modules/pg/lib/index.js"),
    );
    expect(inside.message).toContain("pg cannot be loaded");
  });

  it("is read from what this Node says", async () => {
    const name = "unpdf-that-nobody-has";
    const cause = await import(name).catch((error) => error);
    expect(cause.code).toMatch(/MODULE_NOT_FOUND$/);
    expect(() => createRequire(import.meta.url)(name)).toThrow(expect.objectContaining({ code: "MODULE_NOT_FOUND" }));
  });

  it("is in one row only, and each row has a command", () => {
    const names = optionalParts.flatMap(({ packages }) => Object.keys(packages));
    expect(new Set(names).size).toBe(names.length);
    for (const part of optionalParts) expect(installCommand(part)).toMatch(/^npm install \S/);
  });
});
