import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { type TokenizerSettings, TokenizerThreads } from "./threads.js";
import { parseTokenizer, type Tokenizer } from "./tokenizer.js";

const path = new URL("../../tokenizer/tokenizer.json", import.meta.url).pathname;
const document = readFileSync(path, "utf8");
let tokenizer: Tokenizer;
let threads: TokenizerThreads | undefined;
beforeAll(() => {
  tokenizer = parseTokenizer(document);
});
afterEach(async () => {
  await threads?.close();
  threads = undefined;
});

const open = (
  workers = 1,
  settings: Partial<TokenizerSettings> = {},
  start?: (settings: TokenizerSettings) => Worker,
) => {
  threads = new TokenizerThreads({ document, path, ...settings }, workers, start);
  return threads;
};
const texts = Array.from({ length: 300 }, (_, i) => `export const value${i} = ${"compute(naïve) ".repeat(i)};\n`);

describe("the tokenizer in threads", () => {
  it("gives every text the ids that one thread gives, in order", async () => {
    const pool = open(2);
    const { ids, offsets } = await pool.encode(texts);
    expect(offsets).toHaveLength(texts.length + 1);
    for (const [i, text] of texts.entries())
      expect(ids.slice(offsets[i], offsets[i + 1])).toEqual(tokenizer.encode(text));
    const some = await pool.encode(["", "a b c", ""], 2);
    expect([...some.offsets]).toEqual([0, 0, 2, 2]);
    expect(await pool.encode([])).toEqual({ ids: new Int32Array(), offsets: Int32Array.of(0) });
  });

  it("never holds the event loop", async () => {
    const pool = open();
    await pool.encode(["warm"]);
    let turns = 0;
    let settled = false;
    const turn = (): void => {
      turns++;
      if (!settled) setImmediate(turn);
    };
    setImmediate(turn);
    await pool.encode(["word ".repeat(600_000)]);
    settled = true;
    expect(turns).toBeGreaterThan(100); // where the text is encoded here, it is done in a few turns
  });

  it("serves a short call between the parts of a long one", async () => {
    const pool = open();
    await pool.encode(["warm"]);
    const order: string[] = [];
    const long = pool.encode(Array(60).fill("several words here ".repeat(2000))).then(() => order.push("long"));
    await pool.encode(["short"]).then(() => order.push("short"));
    await long;
    expect(order).toEqual(["short", "long"]);
  });

  it("fails the call of a thread that dies, and goes on with another thread", async () => {
    let count = 0;
    const pool = open(1, {}, (settings) => {
      count++;
      const url = new URL("./worker.js", import.meta.url);
      if (count > 1) return new Worker(url, { workerData: settings });
      return new Worker(
        `const { parentPort } = require("node:worker_threads");
         parentPort.postMessage({ kind: "ready" });
         parentPort.on("message", () => process.exit(3));`,
        { eval: true },
      );
    });
    await expect(pool.encode(["a"])).rejects.toMatchObject({ code: "MODEL_FAILED", path });
    expect((await pool.encode(["a"])).ids).toEqual(tokenizer.encode("a"));
    expect(count).toBe(2);
  });

  it("says what is wrong with a damaged file", async () => {
    await expect(open(1, { document: "{" }).encode(["a"])).rejects.toMatchObject({ code: "BAD_BUNDLE", path });
  });

  it("ends at an abort and at close", async () => {
    const pool = open();
    const controller = new AbortController();
    const aborted = pool.encode(texts, undefined, controller.signal);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
    await expect(pool.encode(texts, undefined, controller.signal)).rejects.toMatchObject({ code: "ABORTED" });
    expect((await pool.encode(["still alive"])).offsets).toHaveLength(2);
    const closed = expect(pool.encode(texts)).rejects.toMatchObject({ code: "CLOSED" });
    await pool.close();
    await closed;
    await expect(pool.encode(["a"])).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("refuses no workers", () => {
    expect(() => new TokenizerThreads({ document, path }, 0)).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT" }),
    );
  });
});
