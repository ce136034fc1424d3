import { missing } from "@tessera/core/internal";
import { isZipWith, openArchive, partPath } from "./archive.js";
import { htmlBlocks } from "./html-blocks.js";
import { type Block, type Reader, UnreadFile, type UnreadPart } from "./reader.js";

// in XHTML an element may end itself; a reader of HTML would take all that follows for its content
const even = (xhtml: string): string =>
  xhtml.replace(
    /<(title|script|style|a|b|i|em|strong|span|div|p|td|th|li|h[1-6]|iframe|textarea)((?:\s[^<>]*)?)\/>/g,
    "<$1$2></$1>",
  );

/** Books: chapter by chapter in the order of reading. */
export const epubReader: Reader = {
  name: "epub",
  version: 1,
  extensions: ["epub"],
  binary: true,
  sniff: (bytes) => isZipWith(bytes, "application/epub+zip") || isZipWith(bytes, "META-INF/container.xml"),
  async read({ bytes }, context) {
    const { parse } = await import("parse5").catch(missing("parse5"));
    const archive = await openArchive(bytes, context);
    const root = (await archive.xml("META-INF/container.xml"))?.all("rootfile")[0]?.attribute("full-path");
    const book = root === undefined ? undefined : await archive.xml(root);
    if (root === undefined || !book) throw new UnreadFile("damaged", "it does not say where its chapters are");
    const title = book.child("metadata")?.child("title")?.text.trim();
    const items = new Map(
      (book.child("manifest")?.elements ?? []).map((item) => [
        item.attribute("id") ?? "",
        { path: partPath(root, decode(item.attribute("href") ?? "")), properties: item.attribute("properties") ?? "" },
      ]),
    );
    const locked = new Set(
      ((await archive.xml("META-INF/encryption.xml"))?.all("CipherReference") ?? []).map((one) =>
        decode(one.attribute("URI") ?? ""),
      ),
    );
    const chapters = (book.child("spine")?.elements ?? []).flatMap(
      (one) => items.get(one.attribute("idref") ?? "") ?? [],
    );
    if (chapters.some(({ path }) => locked.has(path)))
      throw new UnreadFile("encrypted", "its chapters are encrypted (DRM)");
    const blocks: Block[] = [];
    const unread: UnreadPart[] = [];
    for (const [index, { path, properties }] of chapters.entries()) {
      if (index >= context.limits.pages) {
        unread.push({ reason: "limit", detail: `only the first ${index} chapters are read` });
        break;
      }
      if (!archive.has(path) || /(?:^|\s)nav(?:\s|$)/.test(properties)) continue;
      const page = htmlBlocks(even(await context.text(archive.bytes(path))), parse);
      const heading = page.blocks.find((block) => block.kind === "heading");
      const name = heading?.text ?? page.title;
      const place = { unit: "chapter", from: index + 1, to: index + 1, ...(name && { inside: [name] }) } as const;
      blocks.push(...page.blocks.map(({ lines: _, ...block }): Block => ({ ...block, place })));
    }
    return { kind: "blocks", title: title || undefined, blocks, unread };
  },
};

const decode = (uri: string): string => {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
};
