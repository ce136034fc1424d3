import { expect, it } from "@jest/globals";
import { sentencesOf } from "./sentences.js";

it.each([
  ["It waits. Then it stops!", ["It waits.", "Then it stops!"]],
  ["Dr. Smith met J. R. Jones at No. 5. They left.", ["Dr. Smith met J. R. Jones at No. 5.", "They left."]],
  ["Use a queue, e.g. this one. Or none.", ["Use a queue, e.g. this one.", "Or none."]],
  ["A line\nthat goes on. End", ["A line that goes on.", "End"]],
  ["# Title\n\n- one\n- two: 2.5 times", ["# Title", "- one", "- two: 2.5 times"]],
  ["--- \n\n", []],
  ["Это так. И это.", ["Это так.", "И это."]],
  ["一つ目。二つ目。", ["一つ目。", "二つ目。"]],
])("the sentences of %j", (text, sentences) => expect(sentencesOf(text)).toEqual(sentences));
