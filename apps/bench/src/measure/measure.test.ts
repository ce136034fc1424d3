import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { uniform } from "@tessera/core/internal";
import { Report } from "./report.js";
import { interleave, medianInterval, percentile } from "./rounds.js";
import { vocabulary, zipfRanks } from "./words.js";

afterEach(() => {
  jest.restoreAllMocks();
});

describe("interleave", () => {
  it("runs each system once a round, and begins with another one each time", async () => {
    const order: string[] = [];
    const system = (name: string) => () => order.push(name);
    const results = await interleave({ a: system("a"), b: system("b"), c: async () => order.push("c") }, 3);
    expect(order.join("")).toBe("abcbcacab");
    expect(results).toEqual({ a: [1, 6, 8], b: [2, 4, 9], c: [3, 5, 7] });
  });
});

describe("percentile", () => {
  it("is the sample below which that share lies", () => {
    const samples = [5, 1, 4, 2, 3];
    expect([percentile(samples, 0.5), percentile(samples, 0.95), percentile(samples, 0)]).toEqual([3, 5, 1]);
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe("medianInterval", () => {
  it("holds the true median in about 95 of 100 cases, whatever the distribution", () => {
    const random = uniform(7);
    const draws: [() => number, number][] = [
      [() => random(), 0.5],
      [() => -Math.log(1 - random()), Math.LN2],
    ];
    for (const [draw, median] of draws) {
      let held = 0;
      for (let i = 0; i < 2000; i++) {
        const [from, to] = medianInterval(Array.from({ length: 45 }, draw));
        if (from <= median && median <= to) held++;
      }
      expect(held / 2000).toBeGreaterThan(0.93);
      expect(held / 2000).toBeLessThan(0.99);
    }
  });
});

describe("Report", () => {
  it("prints a line of JSON a figure, a table, and loudly what is missing", () => {
    const lines: string[] = [];
    const errors: string[] = [];
    jest.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
    jest.spyOn(console, "error").mockImplementation((line: string) => void errors.push(line));
    const report = new Report("demo");
    report.add("ours", "time", 1.23456, "ms");
    report.miss("theirs", "not to be had");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { bench: "demo", system: "ours", metric: "time", value: 1.235, unit: "ms" },
      { bench: "demo", system: "theirs", metric: "missing", value: null, unit: "not to be had" },
    ]);
    expect(errors).toEqual(["NOT MEASURED: theirs: not to be had"]);
    expect(report.table()).toContain("| time | ms | 1.235 |");
    expect(report.table()).toContain("Not measured: theirs (not to be had).");
    report.add("ours", "hiddenFail", null, "no sample to count");
    expect(report.table()).toContain("Not measured: ours, hiddenFail (no sample to count).");
  });

  it("of several parts has a table each, and all their figures", () => {
    jest.spyOn(console, "log").mockImplementation(() => {});
    const report = new Report("all");
    report.part("one").add("ours", "time", 1, "ms");
    report.part("two").add("ours", "memory", 2, "MB");
    expect(report.figures.map(({ bench, value }) => [bench, value])).toEqual([
      ["one", 1],
      ["two", 2],
    ]);
    expect(report.table()).toMatch(/one .*\| time \| ms \| 1 \|.*\n\ntwo .*\| memory \| MB \| 2 \|/s);
  });
});

describe("the synthetic words", () => {
  it("are all different and come by Zipf's law: the first twice as often as the second", () => {
    expect(new Set(vocabulary).size).toBe(vocabulary.length);
    const rank = zipfRanks(uniform(5));
    const counts = [0, 0];
    for (let i = 0; i < 200_000; i++) {
      const drawn = rank();
      if (drawn < 2) counts[drawn]!++;
    }
    expect(counts[0]! / counts[1]!).toBeGreaterThan(1.9);
    expect(counts[0]! / counts[1]!).toBeLessThan(2.1);
  });
});
