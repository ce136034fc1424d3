import { type Answer, declarePrompt, fence, fenceRule, type Message, type Passage } from "@tessera/core";
import { longestRules } from "./pack.js";
import { refusal } from "./refusal.js";

export const answerPrompt = declarePrompt({
  name: "generator.answer",
  version: "1",
  text: `You answer questions from numbered passages.
Use only what the passages say. After each statement put the number of the passage that supports it in square brackets, as in [1]; cite no other numbers. Write code and identifiers in backticks. Be brief.
If the passages do not hold the answer, reply with exactly: {refusal}`,
  needed: ["refusal"],
  longest: longestRules,
});

/** What the system message of an answer says, with the text that the prompt gives for a refusal. */
export const rulesOf = (filled: (values: { refusal: string }) => string): string =>
  `${filled({ refusal })}\n${fenceRule}`;

/** What it says with our own prompt. */
export const ownRules = rulesOf((values) => answerPrompt.text.replace("{refusal}", values.refusal));

/** What is asked, beside the passages. */
export interface Asked {
  query: string;
  draft?: Answer | undefined;
  feedback?: string | undefined;
}

/** The prompt of an answer; training records have the very same. */
export const messagesOf = (
  passages: readonly Passage[],
  { query, draft, feedback }: Asked,
  extra: string,
  rules = ownRules,
): Message[] => {
  const parts = passages.length > 0 ? [fence(passages)] : [];
  if (draft) parts.push(`An earlier answer, which was rejected:\n${fence([draft], { tag: "draft" })}`);
  if (feedback) parts.push(`Why it was rejected:\n${fence([{ text: feedback }], { tag: "feedback" })}`);
  parts.push(fence([{ text: query }], { tag: "question" }));
  return [
    { role: "system", content: extra ? `${rules}\n${extra}` : rules },
    { role: "user", content: parts.join("\n\n") },
  ];
};
