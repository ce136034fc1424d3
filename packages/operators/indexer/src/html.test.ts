import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { hierarchy } from "./hierarchy.js";
import { html } from "./html.js";

const page = `<!doctype html>
<title>The  Guide</title>
<style>h1 { color: red }</style>
<nav>Home | About</nav>
<h1>Owls</h1>
<p>Owls hunt <em>at
night</em>.<script>alert("no")</script></p>
<h2 id="food">What they &amp; others eat</h2>
<ul><li>mice</li><li>voles<br>and frogs</li></ul>
<pre>
# not a heading
  if (owl) hunt();
</pre>
<h2>Table</h2>
<table><tr><th>bird<th>size</tr><tr><td>owl</td><td>40 cm</td></tr></table>
<h1>Herons</h1><p>They wade.`;
const document: Passage = { id: "guide.html", text: page, metadata: { year: 2020 } };

testOperator(html, {
  cases: [
    {
      name: "row 10: the headings of HTML form parent and child, and a passage is what a reader sees",
      input: { documents: [document] },
      output: ({ passages }) => {
        const found = passages as Passage[];
        expect(found.map(({ title, text }) => [title, text])).toEqual([
          ["Owls", "Owls\n\nOwls hunt at night."],
          [
            "Owls > What they & others eat",
            "What they & others eat\n\n- mice\n- voles\nand frogs\n\n# not a heading\n  if (owl) hunt();",
          ],
          ["Owls > Table", "Table\n\nbird | size\nowl | 40 cm"],
          ["Herons", "Herons\n\nThey wade."],
        ]);
        expect(found.map(({ parent }) => parent)).toEqual([undefined, found[0]!.id, found[0]!.id, undefined]);
        expect(found.map(({ metadata }) => metadata.headings)).toEqual([
          ["Owls"],
          ["Owls", "What they & others eat"],
          ["Owls", "Table"],
          ["Herons"],
        ]);
        expect(found.map(({ source }) => source)).toEqual([
          { path: "guide.html", lines: [5, 6] },
          { path: "guide.html", lines: [8, 12] },
          { path: "guide.html", lines: [14, 15] },
          { path: "guide.html", lines: [16, 16] },
        ]);
        expect(found[0]!.metadata.year).toBe(2020);
      },
    },
    {
      name: "a page without a heading has its title",
      input: { documents: [{ ...document, text: "<title>T</title><p>One.<p>Two." }] },
      output: ({ passages }) => expect(passages).toMatchObject([{ title: "T", text: "One.\n\nTwo." }]),
    },
    {
      name: "a page that says nothing has no passage",
      input: { documents: [{ ...document, text: "<script>x</script><br>" }] },
      output: { passages: [] },
    },
  ],
});

describe("indexer.html", () => {
  it("row 10: hangs in the tree of a hierarchical index", async () => {
    const { passages } = await runOperator(html, {}, { documents: [document] });
    const { nodes } = await runOperator(hierarchy, {}, { passages });
    expect((nodes as Passage[]).map(({ title, parent }) => [title, parent])).toEqual([
      ["guide.html", undefined],
      ["guide.html > Owls", "tree:guide.html"],
      ["guide.html > Owls > What they & others eat", "tree:guide.html > Owls"],
      ["guide.html > Owls > Table", "tree:guide.html > Owls"],
      ["guide.html > Herons", "tree:guide.html"],
    ]);
  });

  it("cuts a long section between blocks, and its parts are its children", async () => {
    const paragraphs = Array.from({ length: 40 }, (_, i) => `<p>Paragraph ${i} says a little about something.</p>`);
    const long = { ...document, text: `<h1>Long</h1>${paragraphs.join("\n")}` };
    const { passages } = await runOperator(html, { maximum: 100 }, { documents: [long] });
    const [first, ...rest] = passages as Passage[];
    expect(rest.length).toBeGreaterThan(2);
    for (const { parent, title } of rest) expect([parent, title]).toEqual([first!.id, "Long"]);
    expect([first!, ...rest].map(({ text }) => text).join("\n")).toContain("Paragraph 39");
  });

  it("loses no word of any page, and shows none of its markup", async () => {
    const word = fc.constantFrom("alpha", "beta", "gamma", "delta");
    const tag = fc.constantFrom("p", "h1", "h2", "div", "li", "em", "td", "pre", "section");
    const part = fc.tuple(tag, fc.array(word, { minLength: 1, maxLength: 4 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 12 }), async (parts) => {
        const text = parts
          .map(([name, said, closed]) => `<${name}>${said.join(" ")}${closed ? `</${name}>` : ""}`)
          .join("\n");
        const { passages } = await runOperator(html, {}, { documents: [{ ...document, text }] });
        const read = (passages as Passage[]).map((passage) => passage.text).join("\n");
        expect(read.match(/\w+/g)).toEqual(parts.flatMap(([, said]) => said));
        const lines = text.split("\n").length;
        for (const { source } of passages as Passage[]) {
          const [from, to] = source!.lines!;
          expect(from).toBeLessThanOrEqual(to);
          expect(to).toBeLessThanOrEqual(lines);
        }
      }),
    );
  });
});
