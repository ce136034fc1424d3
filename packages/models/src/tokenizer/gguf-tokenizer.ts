import { TesseraError } from "@tessera/core";
import type { GgufFile, GgufValue } from "../formats/gguf.js";

/** Llama 3's pattern, and Qwen2's, which cuts numbers digit by digit. */
const llama3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const qwen2 = llama3.replace("{1,3}", "");
const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
const digits = { type: "Digits", individual_digits: true };
const sequence = (...pretokenizers: object[]): object => ({ type: "Sequence", pretokenizers });
const pattern = (Regex: string): object =>
  sequence(
    { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
    { ...byteLevel, use_regex: false },
  );

/** How texts are cut under the names of `tokenizer.ggml.pre`. */
const cuts: Readonly<Record<string, { readonly pre: object; readonly normalizer?: object; readonly whole?: boolean }>> =
  {
    default: { pre: byteLevel },
    "gpt-2": { pre: byteLevel },
    olmo: { pre: byteLevel },
    smollm: { pre: sequence(digits, byteLevel) },
    starcoder: { pre: sequence(digits, byteLevel) },
    refact: { pre: sequence(digits, byteLevel) },
    "llama-bpe": { pre: pattern(llama3), whole: true },
    "llama-v3": { pre: pattern(llama3), whole: true },
    llama3: { pre: pattern(llama3), whole: true },
    qwen2: { pre: pattern(qwen2), normalizer: { type: "NFC" } },
  };

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
const [control, userDefined] = [3, 4];

/**
 * The tokenizer of a GGUF file as the text of a tokenizer.json.
 * @throws TesseraError BAD_BUNDLE where it is of a kind that is not read
 */
export function ggufTokenizer(file: GgufFile): string {
  const bad = (key: string, message: string): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path: `${file.path}#tokenizer.ggml.${key}` });
  const of = (key: string): GgufValue | undefined => file.metadata.get(`tokenizer.ggml.${key}`);
  const texts = (key: string): readonly string[] => {
    const list = of(key);
    if (!Array.isArray(list) || list.some((item) => typeof item !== "string"))
      throw bad(key, "there is no list of texts");
    return list as readonly string[];
  };
  if (of("model") !== "gpt2")
    throw bad("model", `a tokenizer of kind ${JSON.stringify(of("model"))} is not read; read is gpt2`);
  const pre = String(of("pre") ?? "default");
  const rule = Object.hasOwn(cuts, pre) ? cuts[pre] : undefined;
  if (!rule) throw bad("pre", `${JSON.stringify(pre)} is not read; read are ${Object.keys(cuts).join(", ")}`);
  const tokens = texts("tokens");
  const kinds = of("token_type");
  const kindOf = (id: number): unknown => (Array.isArray(kinds) ? kinds[id] : undefined);
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  const added: object[] = [];
  for (const [id, content] of tokens.entries()) {
    vocab[content] = id;
    const kind = kindOf(id);
    if ((kind === control || kind === userDefined) && content !== "")
      added.push({ id, content, special: kind === control, normalized: false });
  }
  return JSON.stringify({
    normalizer: rule.normalizer ?? null,
    pre_tokenizer: rule.pre,
    model: { type: "BPE", vocab, merges: texts("merges"), ignore_merges: rule.whole ?? false },
    added_tokens: added,
  });
}
