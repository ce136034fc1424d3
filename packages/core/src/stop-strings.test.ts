import { expect, it } from "@jest/globals";
import fc from "fast-check";
import { StopStrings } from "./stop-strings.js";

/** Character by character: the text up to the first end of a stop string, without the longest one that ends there. */
function cut(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const ended = stops.filter((stop) => stop !== "" && text.slice(0, end).endsWith(stop));
    if (ended.length > 0) return { text: text.slice(0, end - Math.max(...ended.map((s) => s.length))), stopped: true };
  }
  return { text, stopped: false };
}

it("gives what stands before the first stop string, however the text is split", () => {
  const letters = (most: number) => fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: most });
  fc.assert(
    fc.property(fc.array(letters(5), { maxLength: 8 }), fc.array(letters(3), { maxLength: 3 }), (parts, stops) => {
      const scan = new StopStrings(stops);
      const given = parts.map((part) => scan.take(part)).join("") + scan.rest();
      expect({ text: given, stopped: scan.stopped }).toEqual(cut(parts.join(""), stops));
    }),
  );
});

it("holds back no more than may be the beginning of a stop string", () => {
  const scan = new StopStrings(["END"]);
  expect([scan.take("Because E"), scan.take("N"), scan.take("x E"), scan.take("ND of it"), scan.rest()]).toEqual([
    "Because ",
    "",
    "ENx ",
    "",
    "",
  ]);
});
