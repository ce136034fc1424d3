import { setImmediate } from "node:timers/promises";
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
const core = await import("@tessera/core/internal");
jest.unstable_mockModule("@tessera/core/internal", () => ({
  ...core,
  readingThreads: (_: URL, limitMs: number) =>
    core.readingThreads(new URL("./unread.fixture.js", import.meta.url), limitMs),
}));
const { openParser } = await import("./syntax.js");
const { chunkCode } = await import("./outline.js");

const symbols = async (text: string, signal?: AbortSignal) => {
  const chunks = await chunkCode({ id: "a.ts", text, metadata: {} }, { maximum: 400 }, signal);
  return chunks.map(({ source }) => source!.symbol);
};

describe("a parser that cannot be loaded", () => {
  it("is DEPENDENCY_MISSING with a hint, and is tried again", async () => {
    await expect(openParser("typescript")).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
      path: "typescript",
      message: expect.stringContaining("no wasm here"),
      hint: expect.stringContaining("web-tree-sitter"),
    });
    broken = false;
    (await openParser("typescript")).delete();
  });
});

describe("a file that its parser cannot read", () => {
  it("keeps its lines, and costs no other file its definitions", async () => {
    // the stand-in gives nothing but nonsense after this, as a parser whose memory is damaged
    const files = ["function a() {}\n", "// stand-in: damage\n", "function c() {}\n"];
    expect(await Promise.all(files.map((file) => symbols(file)))).toEqual([["a"], [undefined], ["c"]]);
    expect(await symbols("function d() {}\n")).toEqual(["d"]);
  });

  it("holds nobody else while it is read, and its reading ends when it is aborted", async () => {
    const aborting = new AbortController();
    let ended = false;
    const reading = symbols("// stand-in: loop\n", aborting.signal).finally(() => {
      ended = true;
    });
    const refused = expect(reading).rejects.toThrow("enough");
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    expect(ended).toBe(false);
    aborting.abort(new Error("enough"));
    await refused;
    expect(await symbols("function d() {}\n")).toEqual(["d"]);
  });
});
