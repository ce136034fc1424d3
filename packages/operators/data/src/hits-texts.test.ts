import { testOperator } from "@tessera/testkit";
import { hitsTexts } from "./hits-texts.js";

const hit = (id: string, text: string) => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });

testOperator(hitsTexts, {
  cases: [
    {
      name: "keeps order and repetitions",
      input: { hits: [hit("b", "two"), hit("a", "one"), hit("c", "two")] },
      output: { texts: ["two", "one", "two"] },
    },
    { name: "gives nothing for nothing", input: { hits: [] }, output: { texts: [] } },
  ],
});
