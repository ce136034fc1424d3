import { expect, it } from "@jest/globals";
import { withoutIntroduction } from "./introduction.js";

it.each([
  ["Sure, here you go:\n\nHow long?", "How long?"],
  ["Gerne! Hier ist sie:\r\nWie lange?", "Wie lange?"],
  ["好的，结果如下：\n\n多久？", "多久？"],
  ["**Rewritten question:**\nHow long?", "How long?"],
  ["One:\nTwo:\nThree", "Three"],
  ["How long?", "How long?"],
  ["It says:", "It says:"],
  ["It says:\n\n", "It says:\n\n"],
  ["Is 12:30\nlate?", "Is 12:30\nlate?"],
  ["", ""],
])("%j becomes %j", (said, wanted) => {
  expect(withoutIntroduction(said)).toBe(wanted);
});
