import { testOperator } from "@tessera/testkit";
import { flagAny } from "./flag-any.js";
import { numberCompare } from "./number-compare.js";

const table: [string, boolean, boolean, boolean][] = [
  // is, 1 and 2, 2 and 2, 3 and 2
  ["less", true, false, false],
  ["at-most", true, true, false],
  ["equal", false, true, false],
  ["not-equal", true, false, true],
  ["at-least", false, true, true],
  ["greater", false, false, true],
];

testOperator(numberCompare, {
  cases: table.flatMap(([is, ...expected]) =>
    [1, 2, 3].map((left, index) => ({
      name: `${left} is ${is} 2: ${expected[index]}`,
      config: { is },
      input: { left, right: 2 },
      output: { holds: expected[index] },
    })),
  ),
});

testOperator(flagAny, {
  cases: [
    { name: "one holds", input: { flags: [false, true] }, output: { holds: true } },
    { name: "none holds", input: { flags: [false, false] }, output: { holds: false } },
    { name: "of none", input: { flags: [] }, output: { holds: false } },
  ],
});
