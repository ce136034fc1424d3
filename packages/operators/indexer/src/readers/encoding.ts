import { UnreadFile, type UnreadPart } from "./reader.js";

/** Names of encodings that documents declare and detectors give, as `TextDecoder` knows them. */
const decoderOf = (name: string): InstanceType<typeof TextDecoder> | undefined => {
  try {
    return new TextDecoder(name.replace(/^(?:x-)?(?:cp|win)-?(125\d)$/i, "windows-$1").replace(/-(?:I|E)$/, ""), {
      fatal: true,
    });
  } catch {
    return undefined;
  }
};

const decodeBy = (decoder: InstanceType<typeof TextDecoder>, bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
};

/** UTF-16 by its byte order mark, or by zeros that stand in every other place of mostly Latin text. */
function wideOf(bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  if (bytes.length < 8 || bytes.length % 2 === 1) return undefined;
  const most = Math.min(bytes.length, 4096) & ~1;
  const zeros = [0, 0];
  for (let at = 0; at < most; at++) if (bytes[at] === 0) zeros[at & 1]!++;
  const half = most / 2;
  if (zeros[1]! > 0.7 * half && zeros[0] === 0) return "utf-16le";
  return zeros[0]! > 0.7 * half && zeros[1] === 0 ? "utf-16be" : undefined;
}

/** Control characters that no text has; escape and form feed stand in some. */
const hasControls = (bytes: Uint8Array): boolean =>
  bytes.some((byte) => byte < 9 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32) || byte === 127);

/** "\n" ends every line, whatever ended it. */
const evenLines = (text: string): string => (text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text);

/**
 * The text of bytes with "\n" at the ends of lines: UTF-8, UTF-16, the encoding that is declared, or the one that they are
 * surely in.
 * @param detect The encodings that bytes may be in, with the confidence in each from 0 to 100, the best first.
 * @throws UnreadFile "binary" where they are no text, "encoding" where it cannot be told which
 */
export async function decodeText(
  bytes: Uint8Array,
  detect: (bytes: Uint8Array) => Promise<readonly Guess[]>,
  declared?: string,
): Promise<Decoded> {
  const wide = wideOf(bytes);
  if (wide) {
    const text = decodeBy(new TextDecoder(wide, { fatal: true }), bytes);
    if (text === undefined || text.includes("\0")) throw new UnreadFile("binary");
    return { text: evenLines(text) };
  }
  if (bytes.includes(0)) throw new UnreadFile("binary");
  const utf8 = decodeBy(new TextDecoder("utf-8", { fatal: true }), bytes);
  // seven bits with escapes of ISO 2022 are valid UTF-8 too
  if (utf8 !== undefined && !utf8.includes("\u001b$")) return { text: evenLines(utf8) };
  if (declared !== undefined) {
    const decoder = decoderOf(declared);
    const text = decoder && decodeBy(decoder, bytes);
    if (text !== undefined) return { text: evenLines(text) };
  }
  if (hasControls(bytes)) throw new UnreadFile("binary");
  const text = surely(bytes, await detect(bytes));
  if (text !== undefined) return { text: evenLines(text) };
  if (utf8 !== undefined) return { text: evenLines(utf8) };
  return mostlyAscii(bytes);
}

/** A text of which a few bytes cannot be told: they become U+FFFD. @throws UnreadFile "encoding" where they are many */
function mostlyAscii(bytes: Uint8Array): Decoded {
  const strange = bytes.reduce((count, byte) => count + (byte > 127 ? 1 : 0), 0);
  if (strange > bytes.length / 20)
    throw new UnreadFile("encoding", "its encoding cannot be told: save it as UTF-8 to have it read");
  const ascii = new TextDecoder("ascii").decode(bytes).replace(/[^\0-\x7f]/g, "\ufffd");
  const detail = `${strange} of ${bytes.length} bytes are in an encoding that cannot be told: save it as UTF-8 to have them read`;
  return { text: evenLines(ascii), unread: { reason: "partial", detail } };
}

export interface Guess {
  readonly name: string;
  readonly confidence: number;
}

interface Decoded {
  readonly text: string;
  /** What could not be told about it. */
  readonly unread?: UnreadPart;
}

/** Decodes by the best guess, where that is clearly better than the next that would read something else. */
function surely(bytes: Uint8Array, guesses: readonly Guess[]): string | undefined {
  const read = guesses.flatMap(({ name, confidence }) => {
    const decoder = decoderOf(name);
    const text = decoder && decodeBy(decoder, bytes);
    return text === undefined || /[\x80-\x9f\ufffd\ue000-\uf8ff]/.test(text) ? [] : [{ text, confidence, name }];
  });
  const [best] = read;
  if (!best) return undefined;
  const rival = read.find(({ text }) => text !== best.text);
  const margin = best.confidence - (rival?.confidence ?? 0);
  return best.confidence >= 30 && margin >= 10 ? best.text : undefined;
}
