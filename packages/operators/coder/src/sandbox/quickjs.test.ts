import { getEventListeners } from "node:events";
import { afterAll, describe, expect, it } from "@jest/globals";
import { defaultLimits } from "./driver.js";
import { quickjs } from "./quickjs.js";

const driver = quickjs({ workers: 2 });
afterAll(() => driver.close());
// what ends by itself may take its time on a busy machine
const run = (source: string) => driver.run({ language: "javascript", source }, { ...defaultLimits, wallMs: 30_000 });

describe("the quickjs driver", () => {
  // how many it runs a second is measured by `npm run bench -- sandbox`
  it("runs many small programs at once, each with its own answer", async () => {
    const results = await Promise.all(
      Array.from({ length: 600 }, (_, n) =>
        run(`const square = (x) => x * x; console.log([1, 2, ${n}].map(square).join());`),
      ),
    );
    expect(results.map(({ output }) => output)).toEqual(Array.from({ length: 600 }, (_, n) => `1,4,${n * n}\n`));
  });

  it("says what ended a run, also where the guest has no memory for the copy or its error is no error", async () => {
    // the guest holds the text once, not twice
    expect(await run("console.log('x'.repeat(3e7))")).toMatchObject({ status: "output" });
    expect(await run("throw { name: { toString: 1 } }")).toMatchObject({ status: "exited", exitCode: 1 });
    for (const source of ["(".repeat(400_000), "[".repeat(100_000) + "]".repeat(100_000), "`${".repeat(100_000)])
      expect(await run(source)).toMatchObject({
        status: "exited",
        exitCode: 1,
        errors: "SyntaxError: stack overflow\n",
      });
  });

  it("shares nothing between runs", async () => {
    await run("globalThis.left = 1; Array.prototype.left = 1; console.log = 0; Object.freeze(Object.prototype);");
    expect((await run("const o = {}; o.toString = 1; console.log(typeof left, [].left, o.toString)")).output).toBe(
      "undefined undefined 1\n",
    );
  });

  it("serves a queue longer than its pool, aborts in the queue, and fails what waits when it is closed", async () => {
    const small = quickjs({ workers: 1 });
    const slow = small.run({ language: "javascript", source: "for (;;);" }, { ...defaultLimits, wallMs: 300 });
    const abort = new AbortController();
    const waiting = small.run({ language: "javascript", source: "1" }, defaultLimits, abort.signal);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: "ABORTED" });
    const many = Array.from({ length: 20 }, (_, n) =>
      small.run({ language: "javascript", source: `console.log(${n})` }, defaultLimits),
    );
    expect((await slow).status).toBe("timeout");
    expect((await Promise.all(many)).map(({ output }) => Number(output))).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
    const last = small.run({ language: "javascript", source: "for (;;);" }, defaultLimits);
    const next = small.run({ language: "javascript", source: "1" }, defaultLimits);
    await Promise.all([
      expect(last).rejects.toMatchObject({ code: "CLOSED" }),
      expect(next).rejects.toMatchObject({ code: "CLOSED" }),
      small.close(),
    ]);
    await expect(small.run({ language: "javascript", source: "1" }, defaultLimits)).rejects.toMatchObject({
      code: "CLOSED",
    });
  });

  it("refuses every run where its threads cannot start", async () => {
    const huge = quickjs({ workers: 2, memoryMb: 2 ** 20 });
    const runs = Array.from({ length: 3 }, () =>
      huge.run({ language: "javascript", source: "1" }, defaultLimits).catch((error: unknown) => error),
    );
    for (const error of await Promise.all(runs))
      expect(error).toMatchObject({ code: "SANDBOX_REFUSED", message: expect.stringMatching(/WebAssembly.Memory/) });
    await huge.close();
  });

  it("listens to a signal once, however many of its runs wait", async () => {
    const { signal } = new AbortController();
    const source = "1";
    await Promise.all(
      Array.from({ length: 50 }, () => driver.run({ language: "javascript", source }, defaultLimits, signal)),
    );
    const all = Array.from({ length: 50 }, () => driver.run({ language: "javascript", source }, defaultLimits, signal));
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    await Promise.all(all);
  });
});
