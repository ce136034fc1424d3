// public: smallToBig
import { operator, type Passage, passages } from "@tessera/core";
import { z } from "zod";
import { passedOn, sourceWithin } from "./readers/layout.js";
import { chunkWindows } from "./window.js";

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
// a line feed within a paragraph ends no sentence; one before an empty line, a list item, a heading or a table row does
const wrapped = /(?<!\n[^\S\n]*)\n(?![^\S\n]*(?:\n|[-*+>]\s|\d+[.)]\s|[#|]))/g;

/** The sentences of a passage; put together they are its text. */
function sentencesOf(passage: Passage): Passage[] {
  let row = 0;
  let end = 0;
  const sentences: string[] = [];
  for (const { segment, index } of segmenter.segment(passage.text.replace(wrapped, " "))) {
    const sentence = passage.text.slice(index, index + segment.length);
    if (/[\p{L}\p{N}]/u.test(sentence) || sentences.length === 0) sentences.push(sentence);
    else sentences[sentences.length - 1] += sentence; // a lone mark or space belongs to the sentence before
  }
  return sentences.map((text, sentence) => {
    const first = row + (/^\s*/.exec(text)![0].split("\n").length - 1);
    const last = row + text.trimEnd().split("\n").length - 1;
    row += text.split("\n").length - 1;
    end += text.length;
    return {
      id: partId(passage.id, "sentence", sentence),
      text,
      ...(passage.title !== undefined && { title: passage.title }),
      source: { ...passage.source, ...sourceWithin(passage, [Math.min(first, last), last]) },
      parent: passage.id,
      metadata: { ...passedOn(passage.metadata), span: [end - text.length, end], sentence },
    };
  });
}

/** What a passage is cut into; a child's number among those of its parent stands in its metadata under that name. */
export type Part = "sentence" | "window";

/** The id of a numbered child, so that its neighbours can be asked for. */
export const partId = (parent: string, part: Part, number: number): string => `${parent}/${part[0]}${number}`;

/**
 * Cuts passages into children that are found, while the larger passage is what is read: index both, search the
 * children, and put `indexer.expand` behind the search. By "window" a child is a short window whose parent is the
 * passage; by "sentence" it is one sentence, and its neighbours come with it when it is expanded. The children of a
 * passage are numbered from 0, and `metadata.span` holds the characters [from, to) of it that a child is.
 */
export const smallToBig = operator({
  name: "indexer.small-to-big",
  version: 1,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    paper: "Modular RAG, operator 3",
    summary: "Cuts passages into small children that are searched in their place.",
  },
  config: z
    .strictObject({
      by: z.enum(["window", "sentence"]).default("window"),
      size: z.int().positive().default(50),
      overlap: z.int().min(0).default(0),
    })
    .refine(({ size, overlap }) => overlap < size, { error: "overlap must be less than size", path: ["overlap"] }),
  ports: { input: { passages }, output: { children: passages, parents: passages } },
  effects: "none",
  setup:
    ({ by, size, overlap }) =>
    ({ passages: parents }) => ({
      parents,
      children: parents.flatMap((parent: Passage) =>
        by === "sentence"
          ? sentencesOf(parent)
          : chunkWindows(parent, { unit: "words", size, overlap }).map((child, window) => ({
              ...child,
              id: partId(parent.id, "window", window),
              source: { ...parent.source, ...child.source! },
              parent: parent.id,
              metadata: { ...child.metadata, window },
            })),
      ),
    }),
});
