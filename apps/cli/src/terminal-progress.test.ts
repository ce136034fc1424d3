import { Writable } from "node:stream";
import { expect, it } from "@jest/globals";
import { Terminal } from "./terminal.js";

it("says every few seconds how far long work is where there is no terminal, and nothing of short work", () => {
  let now = 0;
  let text = "";
  const err = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  for (const json of [false, true]) {
    text = "";
    const terminal = new Terminal({ json, stack: false }, new Writable(), err, () => now);
    for (const [ms, stage, done] of [
      [0, "read", 1],
      [4_900, "read", 2],
      [5_100, "read", 3],
      [5_200, "read", 4],
      [9_000, "dense", 1],
      [10_200, "dense", 2],
    ] as const) {
      now = ms + (json ? 1e6 : 0);
      terminal.progress(stage, done, 9);
    }
    expect(text).toBe("read 3 of 9\ndense 2 of 9\n");
  }
});
