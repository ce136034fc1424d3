import { type Answer, fence, fenceRule, type Message, type Passage } from "@tessera/core";
import { refusal } from "./refusal.js";

/** What the system message of every answer says. */
export const rules = `You answer questions from numbered passages.
Use only what the passages say. After each statement put the number of the passage that supports it in square brackets, as in [1]; cite no other numbers. Write code and identifiers in backticks. Be brief.
If the passages do not hold the answer, reply with exactly: ${refusal}
${fenceRule}`;

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
