import { missing } from "@tessera/core/internal";
import { htmlBlocks } from "./html-blocks.js";
import type { Reader } from "./reader.js";

/** The encoding that a page declares in its first kilobyte. */
const declaredIn = (bytes: Uint8Array): string | undefined =>
  /<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)/i.exec(new TextDecoder("latin1").decode(bytes.subarray(0, 1024)))?.[1] ??
  /^\s*<\?xml[^>]+encoding\s*=\s*["']([\w-]+)/i.exec(new TextDecoder("latin1").decode(bytes.subarray(0, 200)))?.[1];

/** The main text of web pages: no markup, scripts, styles, navigation, headers and footers of the site. */
export const htmlReader: Reader = {
  name: "html",
  version: 1,
  extensions: ["html", "htm", "xhtml"],
  sniff: (bytes) => /^\s*(?:<!doctype html|<html[\s>])/i.test(new TextDecoder("latin1").decode(bytes.subarray(0, 512))),
  async read({ bytes }, context) {
    const { parse } = await import("parse5").catch(missing("parse5"));
    const { title, blocks } = htmlBlocks(await context.text(bytes, declaredIn(bytes)), parse);
    return { kind: "blocks", title, blocks };
  },
};
