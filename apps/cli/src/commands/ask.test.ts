import { Writable } from "node:stream";
import { expect, it } from "@jest/globals";
import { Terminal } from "../terminal.js";
import { showSources } from "./ask.js";

it("a source is shown with its place, its symbol and where the same text stands besides", () => {
  let out = "";
  const into = new Writable({
    write(chunk: Buffer, _, done) {
      out += chunk.toString();
      done();
    },
  });
  const place = (passage: string, path: string) => ({ passage, path, lines: [2, 7] as [number, number] });
  showSources(new Terminal({ json: false, stack: false }, into, into), [
    {
      marker: 1,
      ...place("a", "src/a.ts"),
      symbol: "wait",
      copies: [place("b", "vendor/a.ts"), { passage: "note-7" }],
    },
    { marker: 2, passage: "note-9" },
  ]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours, where a terminal has them
  expect(out.replace(/\u001b\[\d+m/g, "").split("\n")).toEqual([
    "[1] src/a.ts:2-7  wait  the same in vendor/a.ts:2-7, note-7",
    "[2] note-9",
    "",
  ]);
});
