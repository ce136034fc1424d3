import { startsLike } from "./archive.js";
import { type Reader, UnreadFile } from "./reader.js";

/** Drawings say nothing that a search should find. */
export const drawingReader: Reader = {
  name: "drawing",
  version: 1,
  extensions: ["svg", "drawio", "excalidraw"],
  sniff: (bytes) =>
    startsLike(bytes, /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[\s\S]*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]/i),
  read() {
    throw new UnreadFile("unsupported", "a drawing");
  },
};
