import { type DocumentPlace, missing } from "@tessera/core/internal";
import { startsLike } from "./archive.js";
import { htmlBlocks } from "./html-blocks.js";
import {
  type Block,
  type ReadDocument,
  type Reader,
  type ReaderContext,
  UnreadFile,
  type UnreadPart,
} from "./reader.js";

type Address = { name?: string; address?: string };

const people = (list: readonly (Address & { group?: Address[] })[] = []): string =>
  list
    .flatMap((one) => one.group ?? [one])
    .map(({ name, address }) => (name && address ? `${name} <${address}>` : (address ?? name ?? "")))
    .join(", ");

/** The blocks of a document as a part of another: every place is inside the part. */
function blocksInside(document: ReadDocument, name: string, around: DocumentPlace): Block[] {
  const inside = [...(around.inside ?? []), name];
  if (document.kind === "text") {
    const place: DocumentPlace = { ...around, inside };
    const { text, language } = document;
    return [
      language === "markdown" || language === "text"
        ? { kind: "markdown", text, place }
        : { kind: "code", text, language, place },
    ];
  }
  return document.blocks.map(
    ({ lines: _, place, ...block }): Block => ({
      ...block,
      place: place ? { ...place, inside: [...inside, ...(place.inside ?? [])] } : { ...around, inside },
    }),
  );
}

interface Read {
  readonly title: string;
  readonly blocks: Block[];
  readonly unread: UnreadPart[];
}

/** A message: who wrote it to whom, its plain text or else its page, and its attachments by their own readers. */
async function readMessage(bytes: Uint8Array, place: DocumentPlace, context: ReaderContext): Promise<Read> {
  const { default: PostalMime } = await import("postal-mime").catch(missing("postal-mime"));
  const { parse } = await import("parse5").catch(missing("parse5"));
  const mail = await PostalMime.parse(bytes, {
    attachmentEncoding: "arraybuffer",
    maxNestingDepth: Math.min(100, context.limits.depth),
    forceRfc822Attachments: true,
  });
  const title = mail.subject?.trim() || "(no subject)";
  const blocks: Block[] = [{ kind: "heading", level: 1, text: title, place }];
  const head = [
    ["From", people(mail.from ? [mail.from] : [])],
    ["To", people(mail.to)],
    ["Cc", people(mail.cc)],
    ["Date", mail.headers.find(({ key }) => key === "date")?.value ?? ""],
  ].filter(([, value]) => value !== "");
  blocks.push({ kind: "paragraph", text: head.map(([name, value]) => `${name}: ${value}`).join("\n"), place });
  const text = mail.text?.replace(/\r\n?/g, "\n").trim();
  if (text) blocks.push({ kind: "paragraph", text, place });
  else if (mail.html)
    blocks.push(...htmlBlocks(mail.html, parse).blocks.map(({ lines: _, ...block }): Block => ({ ...block, place })));
  const unread: UnreadPart[] = [];
  for (const [index, { filename, content, mimeType, related }] of mail.attachments.entries()) {
    const name = filename?.trim() || (mimeType === "message/rfc822" ? `message ${index + 1}.eml` : "");
    // pictures of the page have no name, or are shown in it
    if (name === "" || (related && mimeType.startsWith("image/"))) continue;
    try {
      const inner = await context.part({
        path: name,
        bytes: typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content),
      });
      blocks.push(...blocksInside(inner, name, place));
      unread.push(
        ...(inner.unread ?? []).map((part) => ({ ...part, detail: `the attachment ${name}: ${part.detail}` })),
      );
    } catch (error) {
      const reason = error instanceof UnreadFile ? error.reason : "damaged";
      const detail = error instanceof UnreadFile && error.detail ? `: ${error.detail}` : ` is ${reason}`;
      unread.push({ reason: reason === "missing" ? "missing" : "partial", detail: `the attachment ${name}${detail}` });
    }
  }
  return { title, blocks, unread };
}

const header = /^(?:[\w-]+:[^\n]*\r?\n(?:[ \t][^\n]*\r?\n)*){2,}/;

/** A message of e-mail. */
export const emlReader: Reader = {
  name: "eml",
  version: 1,
  extensions: ["eml"],
  binary: true,
  sniff: (bytes) =>
    startsLike(bytes, /^(?:Return-Path|Received|Delivered-To|MIME-Version|Message-ID):/i) &&
    startsLike(bytes, header, 4096),
  async read({ bytes }, context) {
    return { kind: "blocks", ...(await readMessage(bytes, { unit: "part", from: 1, to: 1 }, context)) };
  },
};

const from = Buffer.from("From ");

/** Where the messages of a mailbox begin: at a line "From …" at the start or after an empty line. */
export function messagesOf(bytes: Buffer): Buffer[] {
  const starts: number[] = [];
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) {
    const isStart =
      at === 0 || (bytes[at - 1] === 10 && (bytes[at - 2] === 10 || (bytes[at - 2] === 13 && bytes[at - 3] === 10)));
    // a sentence that begins with "From" has no year at its end
    const end = bytes.indexOf(10, at);
    if (isStart && /\d{4}\s*$|\d{2}:\d{2}/.test(bytes.toString("latin1", at, end < 0 ? undefined : end)))
      starts.push(at);
  }
  return starts.map((start, index) => {
    const message = bytes.subarray(bytes.indexOf(10, start) + 1, starts[index + 1] ?? bytes.length);
    return Buffer.from(message.toString("latin1").replace(/^>(>*From )/gm, "$1"), "latin1");
  });
}

/** A mailbox: one message after another. */
export const mboxReader: Reader = {
  name: "mbox",
  version: 1,
  extensions: ["mbox", "mbx"],
  binary: true,
  sniff: (bytes) => startsLike(bytes, /^From \S+.*\d{4}\s*\r?\n[\w-]+:/),
  async read({ bytes }, context) {
    const messages = messagesOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const blocks: Block[] = [];
    const unread: UnreadPart[] = [];
    for (const [index, message] of messages.entries()) {
      const read = await readMessage(message, { unit: "message", from: index + 1, to: index + 1 }, context);
      blocks.push(...read.blocks);
      unread.push(...read.unread.map((part) => ({ ...part, detail: `message ${index + 1}: ${part.detail}` })));
    }
    return { kind: "blocks", blocks, unread };
  },
};
