// a reader of one's own: a record for each line of a log of tides
import type { Reader } from "@tessera/tessera";

export default {
  name: "tide",
  version: 1,
  extensions: ["tide"],
  async read({ bytes }, context) {
    const text = await context.text(bytes);
    return {
      kind: "blocks",
      blocks: text
        .trim()
        .split("\n")
        .map((line, index) => ({ kind: "paragraph", text: line, lines: [index + 1, index + 1] as const })),
    };
  },
} satisfies Reader;
