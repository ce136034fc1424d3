import { describe, expect, it } from "@jest/globals";
import type { Answer, Hit } from "@tessera/core";
import { runOperator } from "@tessera/testkit";
import { words } from "@tessera/text";
import fc from "fast-check";
import { extract } from "./extract.js";
import { clipped, sentencesIn } from "./sentences.js";
import { statementsOf } from "./statements.js";

/** A section of a Markdown page, as the chunker gives it: its text begins with its heading. */
const section = (path: string, heading: string, body: string): Hit => ({
  passage: {
    id: `${path}#${heading}`,
    title: heading,
    text: `## ${heading}\n\n${body}`,
    source: { path, lines: [1, body.split("\n").length + 2] },
    metadata: { language: "markdown", headings: [heading] },
  },
  score: 1,
  provenance: [],
});
const ask = async (query: string, hits: Hit[], config: object = {}): Promise<Answer> =>
  ((await runOperator(extract, config, { query, hits })) as { answer: Answer }).answer;

describe("a heading is no answer", () => {
  it.each([
    ["what is the refund policy?", "Refund policy", "Money comes back within twelve days."],
    ["how do I bring a dog on board?", "How do I bring a dog on board?", "Dogs travel in the kennel."],
    ["lost property", "Lost property", "What was found lies in the office."],
    ["Öffnungszeiten", "Öffnungszeiten", "Ab neun Uhr."],
  ])("%s", async (question, heading, sentence) => {
    const { text } = await ask(question, [section("a.md", heading, sentence)]);
    expect(text).toBe(`${heading}: ${sentence} [1] (a.md:1-3)`);
  });

  it("also where nothing stands below it", async () => {
    expect((await ask("refund policy", [section("a.md", "Refund policy", "")])).refused).toBe(true);
    expect((await ask("refund policy", [section("a.md", "Refund policy", "---\n\n<a name='x'></a>")])).refused).toBe(
      true,
    );
  });
});

describe("a quote keeps what belongs together", () => {
  it.each([
    [
      "a list with what leads in",
      "in which order do the hooks run?",
      "The hooks run in this order:\n\n1. onRequest\n2. preParsing\n   for bodies\n3. handler",
      "The hooks run in this order: [1] (a.md:1-8)\n\n1. onRequest\n2. preParsing\n   for bodies\n3. handler",
    ],
    [
      "an item with its lead",
      "what is for bodies?",
      "The hooks run in this order:\n\n1. onRequest\n2. preParsing, for bodies\n3. handler",
      "The hooks run in this order: [1] (a.md:1-7)\n\n2. preParsing, for bodies",
    ],
    [
      "code as code",
      "how is the ship started?",
      "The ship is started by two commands.\n\n```sh\nnpm ci\n  npm start\n```",
      "The ship is started by two commands. [1] (a.md:1-8)\n\n```sh\nnpm ci\n  npm start\n```",
    ],
    [
      "a row with its head",
      "what does the outer cabin cost?",
      "| cabin | cost |\n|---|---|\n| inner | 40 |\n| outer | 60 |",
      "Ship: [1] (a.md:1-6)\n\n| cabin | cost |\n|---|---|\n| outer | 60 |",
    ],
    [
      "the value that is asked for",
      "what is the default size of a ship?",
      "+ Default: `1048576` (1MiB)\n\nThe default reading of a ship sends [`TOO_LARGE`](./errors.md#x.y) if it is wrong.",
      "Ship: Default: `1048576` (1MiB) [1] (a.md:1-5)",
    ],
  ])("%s", async (_, question, body, text) => {
    expect((await ask(question, [section("a.md", "Ship", body)], { quotes: 1 })).text).toBe(text);
  });

  it.each([
    ["It sends [`A`](./a.md#b.c). Then it ends.", ["It sends [`A`](./a.md#b.c).", "Then it ends."]],
    ["See https://a.example/b.c?d=e. Then `a. b` is run.", ["See https://a.example/b.c?d=e.", "Then `a. b` is run."]],
    ["An image ![of. A](b.png) shows it.", ["An image ![of. A](b.png) shows it."]],
  ])("the sentences of %j", (text, sentences) => expect(sentencesIn(text)).toEqual(sentences));

  it("a long sentence ends at a space outside links", () => {
    const link = `[${"a word ".repeat(20)}](https://a.example/${"b".repeat(80)})`;
    const sentence = `Before it ${link} and behind it ${"stand words ".repeat(30)}.`;
    for (const length of [60, 120, 240, 300, 400]) {
      const cut = clipped(sentence, length);
      expect(cut === sentence || cut.endsWith(" …")).toBe(true);
      expect(cut.includes("[")).toBe(cut.includes(link));
    }
  });

  it("nothing that says something is lost, and headings are no statements", () => {
    const line = fc.constantFrom(
      "Some words.",
      "More of it: so",
      "- an item",
      "  goes on",
      "1. first",
      "| a | b |",
      "|---|---|",
      "```",
      "# Head",
      "> said",
      "",
      "    code();",
      "* * *",
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const text = lines.join("\n");
        const said = new Set(statementsOf(text).flatMap(({ text, head = "" }) => words(`${head}\n${text}`)));
        for (const word of ["some", "more", "item", "first", "said", "code"])
          if (words(text).includes(word)) expect(said).toContain(word);
      }),
    );
  });
});

describe("copies take one place", () => {
  const sentence = "Cabins are cleaned at noon every day.";
  it("and its citation names the others, spaces and a line of version apart", async () => {
    const { text, citations } = await ask("when are cabins cleaned?", [
      section("a/guide.md", "Guide", sentence),
      section("b/guide.md", "Guide", sentence.replace(" at", "\nat")),
      section("c/guide.md", "Guide", `Version 2.\n\n${sentence}`),
      section("cabins.md", "Cabins", "Each of the cabins has two beds, and is cleaned."),
    ]);
    expect(citations.map(({ path }) => path).sort()).toEqual(["a/guide.md", "cabins.md"]);
    expect(citations.find(({ path }) => path === "a/guide.md")!.copies).toEqual([
      { passage: "b/guide.md#Guide", path: "b/guide.md", lines: [1, 4] },
      { passage: "c/guide.md#Guide", path: "c/guide.md", lines: [1, 5] },
    ]);
    expect(text.split(sentence).length).toBe(2);
  });

  it("but what says something else is none", async () => {
    const prices = [40, 60].map((price) => section(`${price}.md`, "Cabins", `A cabin is cleaned for ${price} crowns.`));
    expect((await ask("what does it cost that a cabin is cleaned?", prices)).citations).toHaveLength(2);
  });
});

describe("what is asked", () => {
  const german = [
    section("a.md", "Betrieb", "Datensicherungen werden um drei Uhr erstellt."),
    section("b.md", "Tiere", "Die Größe der Möwe ist vierzig Zentimeter."),
  ];
  it.each([
    ["wann wird die Datensicherung erstellt?", "drei Uhr"],
    ["wie groß ist die Möwe?", "vierzig"],
    ["wie gross ist die Moewe?", "vierzig"],
    ["wann sind Sicherungen der Daten?", "drei Uhr"],
  ])("is found in another form: %s", async (question, found) =>
    expect((await ask(question, german)).text).toContain(found),
  );

  it.each([
    ["how is a bicycle repaired", [section("debug.md", "Self-debug", "A program is repaired up to five times.")]],
    ["wann fährt der Zug?", german],
  ])("is refused where it is off the topic: %s", async (question, hits) =>
    expect((await ask(question, hits)).refused).toBe(true),
  );

  it.each(["dart", "ex", "tf", "unknown"])("code of an unknown language is quoted as code: .%s", async (extension) => {
    const text = "int badgeColour(int level) {\n  final base = 7;\n  return base * level;\n}";
    const hit: Hit = {
      passage: { id: "x", text, source: { path: `a.${extension}`, lines: [1, 4] }, metadata: { language: "text" } },
      score: 1,
      provenance: [],
    };
    expect((await ask("how is the badge colour computed from its level?", [hit])).text).toContain("\n\n    ");
  });
});
