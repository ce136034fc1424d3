import { describe, expect, it, jest } from "@jest/globals";

let broken = true;
jest.unstable_mockModule("web-tree-sitter", async () => {
  const whole = jest.requireActual<typeof import("web-tree-sitter")>("web-tree-sitter");
  const Parser = new Proxy(whole.Parser, {
    get: (target, key) =>
      key === "init" && broken ? () => Promise.reject(new Error("no wasm here")) : Reflect.get(target, key),
  });
  return { ...whole, Parser };
});
const { chunkCode } = await import("./outline.js");

const chunk = (path: string) => chunkCode({ id: path, text: "function a() {}\n", metadata: {} }, { maximum: 400 });

describe("without the parser", () => {
  it("code ends with DEPENDENCY_MISSING and a hint; what needs no parser goes on; and it is tried again", async () => {
    await expect(chunk("a.ts")).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
      path: "typescript",
      message: expect.stringContaining("no wasm here"),
      hint: expect.stringContaining("web-tree-sitter"),
    });
    expect(await chunk("a.md")).toHaveLength(1);
    broken = false;
    expect((await chunk("a.ts"))[0]!.source!.symbol).toBe("a");
  });
});
