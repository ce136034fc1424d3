import { fence, fenceRule, type Message } from "@tessera/core";
import { clip } from "@tessera/core/internal";

/** A prompt about a question, which is quoted, and about further quoted texts, of which empty ones are left out. */
export const about = (
  instructions: string,
  query: string,
  characters: number,
  others: Readonly<Record<string, string | undefined>> = {},
): Message[] => [
  { role: "system", content: `${instructions} ${fenceRule}` },
  {
    role: "user",
    content: [...Object.entries({ question: query, ...others })]
      .flatMap(([tag, text]) => (!text ? [] : [fence([{ text: clip(text, characters) }], { tag })]))
      .join("\n"),
  },
];
