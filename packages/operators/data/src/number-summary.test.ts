import { testOperator } from "@tessera/testkit";
import { numberSummary } from "./number-summary.js";

testOperator(numberSummary, {
  cases: [
    { name: "of some", input: { list: [2, -1, 5] }, output: { mean: 2, least: -1, most: 5, count: 3 } },
    { name: "of none", input: { list: [] }, output: { mean: 0, least: 0, most: 0, count: 0 } },
  ],
});
