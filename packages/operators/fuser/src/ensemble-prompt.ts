import { fence, fenceRule, type Hit, type Message } from "@tessera/core";
import { clip } from "@tessera/core/internal";

/** What each passage of an ensemble is asked with. */
export const passagePrompt = (instructions: string, query: string, { passage }: Hit, characters: number): Message[] => [
  {
    role: "system",
    content: `${instructions} ${fenceRule}`,
  },
  {
    role: "user",
    content: `${fence([{ ...passage, text: clip(passage.text, characters) }])}\n${fence([{ text: clip(query, characters) }], { tag: "question" })}`,
  },
];
