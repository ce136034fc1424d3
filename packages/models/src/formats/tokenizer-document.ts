import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { readJson } from "./json-file.js";

/** The text of a tokenizer.json, and where it came from. */
export interface TokenizerDocument {
  readonly document: string;
  readonly path: string;
}

/**
 * A folder's tokenizer.json, or where there is none what BERT's vocab.txt and tokenizer_config.json amount to.
 * @throws TesseraError BAD_BUNDLE
 */
export async function tokenizerDocument(folder: string): Promise<TokenizerDocument> {
  const path = join(folder, "tokenizer.json");
  if (existsSync(path) || !existsSync(join(folder, "vocab.txt"))) return { document: await text(path), path };
  const words = join(folder, "vocab.txt");
  const config = join(folder, "tokenizer_config.json");
  const settings = existsSync(config) ? (await readJson(config)).value : {};
  return {
    document: JSON.stringify(ofVocabulary(await text(words), (settings ?? {}) as Record<string, unknown>, words)),
    path: words,
  };
}

async function text(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
}

function ofVocabulary(list: string, settings: Record<string, unknown>, path: string): object {
  const tokens = list.split("\n").map((line) => line.replace(/\r$/, ""));
  if (tokens.at(-1) === "") tokens.pop();
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const named = (name: string, usual: string): string => {
    const value = settings[name];
    const content = typeof value === "object" && value !== null ? (value as { content?: unknown }).content : value;
    return typeof content === "string" ? content : usual;
  };
  const marks = {
    unk: named("unk_token", "[UNK]"),
    cls: named("cls_token", "[CLS]"),
    sep: named("sep_token", "[SEP]"),
    pad: named("pad_token", "[PAD]"),
    mask: named("mask_token", "[MASK]"),
  };
  for (const mark of [marks.unk, marks.cls, marks.sep])
    if (!Object.hasOwn(vocab, mark)) throw new TesseraError("BAD_BUNDLE", `the vocabulary has no ${mark}`, { path });
  const special = (content: string): object => ({ id: vocab[content], content, special: true, normalized: false });
  return {
    added_tokens: Object.values(marks)
      .filter((mark) => Object.hasOwn(vocab, mark))
      .map(special),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: settings.tokenize_chinese_chars ?? true,
      strip_accents: settings.strip_accents ?? null,
      lowercase: settings.do_lower_case ?? true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", cls: [marks.cls, vocab[marks.cls]], sep: [marks.sep, vocab[marks.sep]] },
    model: {
      type: "WordPiece",
      vocab,
      unk_token: marks.unk,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
    },
  };
}
