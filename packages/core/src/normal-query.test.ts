import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { normalQuery } from "./normal-query.js";

describe("the normal form of a query", () => {
  it("is one for what differs in case, spacing, quotes, width and the final mark, and another for any other sign", () => {
    const same = ["What is  C++?", "what is c++", ' "What is\nC++" ', "“what is C++”!", "ｗｈａｔ is C++ ."];
    expect(new Set(same.map(normalQuery))).toEqual(new Set(["what is c++"]));
    expect(normalQuery("what is C#")).not.toBe(normalQuery("what is C"));
    expect(normalQuery(' "?" ')).toBe("");
  });

  it("joins the words of a query by single spaces, however it was written", () => {
    const words = fc.array(fc.stringMatching(/^[a-z0-9+#]+$/), { minLength: 1 });
    const around = fc.constantFrom("", " ", "?", '"', "’ ", ".\n");
    fc.assert(
      fc.property(words, fc.constantFrom(" ", "\n", "\t  "), around, (list, space, end) => {
        expect(normalQuery(`  "${list.join(space).toUpperCase()}${end}`)).toBe(list.join(" "));
      }),
    );
  });
});
