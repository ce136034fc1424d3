import { languageOf } from "../languages.js";
import type { Reader } from "./reader.js";

/** Text, Markdown and source code: as they stand. It reads what no other reader knows, where that is text. */
export const textReader: Reader = {
  name: "text",
  version: 1,
  extensions: ["txt", "md", "markdown"],
  async read({ path, bytes }, context) {
    return { kind: "text", text: await context.text(bytes), language: languageOf(path) };
  },
};
