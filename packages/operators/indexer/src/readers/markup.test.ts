import { describe, expect, it } from "@jest/globals";
import { withoutComponents } from "./mdx.js";
import { read, shown } from "./reading.fixture.js";

const table =
  "| Deck | Fee | Note |\n| --- | --- | --- |\n| Upper | 12 | with a window |\n| Lower | 7 | near the bar |";
const code = '```python\ndef fee(deck):\n    return 12 if deck == "upper" else 7\n```';

describe("the readers of markup", () => {
  it.each([
    ["handbook-pandoc.rst", ["1-5", "7-11", "13-21", "23-41"]],
    ["handbook-pandoc.asciidoc", ["1-2", "4-8", "10-17", "19-34"]],
    ["handbook-pandoc.org", ["1-9", "11-19", "21-37"]],
  ])("%s has the sections, lists, tables and listings of its source, on their lines", async (name, lines) => {
    const found = await shown(name);
    expect(found.map(([where]) => where)).toEqual(lines.map((range) => `${name}:${range}`));
    const [boarding, refunds, fees] = found.slice(-3).map(([, text]) => text);
    expect(boarding).toMatch(
      /# Boarding\n\nPassengers board twenty minutes before the ferry leaves\. The gangway is\non the port side\./,
    );
    expect(refunds).toMatch(
      /^#+ Refunds\n\nA refund is paid .*\n\n1\. Fill in the form\.\n2\. Hand it in at the kiosk\.\n {0,3}- Keep the receipt\.$/,
    );
    expect(fees).toContain(`${table}\n\nDogs travel for free, unless they need a cabin.\n\n${code}`);
    expect(found.map(([, text]) => text).join("\n")).toMatch(/The gate closes five minutes before\s+departure\./);
  });

  it("AsciiDoc: attributes, old titles, admonitions, terms, callouts of a block and comments", async () => {
    const text = `= Guide
:product: Gannet

Old title
---------

The {product} sails. See <<fees,the fees>> and https://example.org[the page].

WARNING: Mind the gap.

[NOTE]
====
Take a coat.
====

////
hidden
////
// hidden too

Deck:: the upper one

[source, java]
----
int fee = 12;
----

|===
|A |B

|1 |2
|===
`;
    expect((await shown("a.adoc", text)).map(([, body]) => body)).toEqual([
      "# Guide\n\n## Old title\n\nThe Gannet sails. See the fees and the page.\n\nWARNING: Mind the gap.\n\nNOTE:\n\nTake a coat.\n\n- Deck: the upper one\n\n```java\nint fee = 12;\n```\n\n| A | B |\n| --- | --- |\n| 1 | 2 |",
    ]);
  });

  it("reStructuredText: directives, literal blocks, roles, grid tables; comments and targets say nothing", async () => {
    const text = `=====
Guide
=====

.. _top:
.. a comment
   of two lines

See :ref:\`the fees <fees>\` and \`\`fee()\`\`. An example::

    fee(1)

    fee(2)

.. note:: Mind
   the gap.

.. warning::

   Take a coat.

Fees
----

+------+-----+
| Deck | Fee |
+======+=====+
| A    | 1   |
+------+-----+

.. code-block:: js

   let a = 1;

.. function:: fee(deck)

   What a deck costs.
`;
    expect((await shown("a.rst", text)).map(([, body]) => body)).toEqual([
      "# Guide\n\nSee the fees and `fee()`. An example:\n\n```\nfee(1)\n\nfee(2)\n```\n\nNote: Mind the gap.\n\nWarning:\n\nTake a coat.",
      "## Fees\n\n| Deck | Fee |\n| --- | --- |\n| A | 1 |\n\n```js\nlet a = 1;\n```",
      "###### fee(deck)\n\nWhat a deck costs.",
    ]);
  });

  it("MDX: components lose their tags, and lines keep their numbers", async () => {
    const text =
      'import { Note } from "./note";\nexport const meta = {\n  title: "x",\n};\n\n# Fees {/* hidden */}\n\n<Note type="info">Dogs travel **free**.</Note>\n\n<Tabs\n  value="a"\n>\nInside.\n</Tabs>\n\n`<Note>` is one.\n\n```jsx\nimport x from "y";\n<Note />\n```';
    const lines = withoutComponents(text).split("\n");
    expect(lines.length).toBe(text.split("\n").length);
    expect(lines.filter((line) => line.trim() !== "").map((line) => line.trim())).toEqual([
      "# Fees",
      "Dogs travel **free**.",
      "Inside.",
      "`<Note>` is one.",
      "```jsx",
      'import x from "y";',
      "<Note />",
      "```",
    ]);
    expect((await shown("a.mdx", text))[0]![0]).toBe("a.mdx:6-21");
  });

  it("leaves drawings out", async () => {
    for (const path of ["a.svg", "b.unknown"])
      expect(
        await read(path, '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><path d="M0"/></svg>'),
      ).toMatchObject({ reason: "unsupported" });
  });
});
