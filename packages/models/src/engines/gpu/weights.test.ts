import { expect, it } from "@jest/globals";
import { fromHalves, halves } from "./weights.js";

it("rounds to half precision as IEEE 754 does", () => {
  const cases: [number, number][] = [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519, 0x7bff],
    [65520, 0x7c00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [2 ** -14, 0x400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2047.9, 0x6800],
    [Number.NaN, 0x7e00],
  ];
  expect([...halves(Float32Array.from(cases, ([value]) => value))]).toEqual(cases.map(([, bits]) => bits));
});

it("reads every half as it writes it", () => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits).filter((bits) => (bits & 0x7fff) <= 0x7c00);
  expect([...halves(fromHalves(all))]).toEqual([...all]);
});
