import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { dot, mean, mulberry32, softmax, uniform } from "./numbers.js";

describe("dot and mean", () => {
  it("are those of a calculation by hand", () => {
    expect(dot(Float32Array.of(1, -2, 3), [4, 5, 0.5])).toBe(-4.5);
    expect(dot([], [])).toBe(0);
    expect(mean([1, 2, 6])).toBe(3);
    expect(mean([])).toBeNaN();
  });
});

describe("softmax", () => {
  const values = fc.array(fc.double({ min: -1e4, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 20 });

  it("sums to 1 and keeps the order, of numbers of any size", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0.01, max: 100, noNaN: true }), (list, temperature) => {
        const shares = softmax(list, temperature);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
        for (let i = 0; i < list.length; i++)
          for (let j = 0; j < list.length; j++)
            if (list[i]! >= list[j]!) expect(shares[i]).toBeGreaterThanOrEqual(shares[j]!);
      }),
    );
  });

  it("gives the ratio of two shares by the difference of their values over the temperature", () => {
    const [a, b] = softmax([3, 1], 0.5) as [number, number];
    expect(Math.log(a / b)).toBeCloseTo(4, 12);
  });
});

describe("uniform numbers", () => {
  it("come to the state that Park and Miller's minimal standard names after 10,000 steps, with its multiplier of 1993", () => {
    const next = uniform(0); // state 1
    let last = 0;
    for (let i = 0; i < 10_000; i++) last = next();
    expect(Math.round(last * 2147483646) + 1).toBe(399268537);
  });

  it("are the same for a seed, and other ones for another", () => {
    const draw = (seed: number) => Array.from({ length: 5 }, uniform(seed));
    expect(draw(4)).toEqual(draw(4));
    expect(draw(4)).not.toEqual(draw(5));
  });
});

describe("mulberry32", () => {
  it("gives the numbers that are published for its seeds 0 and 1", () => {
    const next = mulberry32(0);
    expect([next(), next(), next()]).toEqual([0.26642920868471265, 0.0003297457005828619, 0.2232720274478197]);
    expect(mulberry32(1)()).toBe(0.6270739405881613);
  });

  it("is uniform: the mean of ten thousand lies within three standard errors of a half", () => {
    const next = mulberry32(7);
    const drawn = Array.from({ length: 10_000 }, next);
    expect(Math.abs(mean(drawn) - 0.5)).toBeLessThan((3 * Math.sqrt(1 / 12)) / 100);
  });
});
