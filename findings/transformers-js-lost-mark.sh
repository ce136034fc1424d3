#!/usr/bin/env bash
# @huggingface/transformers 4.3.2.
# One would guess: a text that is cut to `max_length` keeps the marks around it, as the tokenizers of transformers and the Rust
# library have it: [CLS] a b c [SEP] becomes [CLS] a [SEP] where three tokens may stay.
# What happens: the marks are added first and the whole is cut then, so that the closing mark is lost: [CLS] a b. An encoder
# reads an input that no training showed it, and of a pair of texts the second loses everything before the first loses a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --save-exact --ignore-scripts @huggingface/transformers@4.3.2
cat >program.mjs <<'PROGRAM'
import { BertTokenizer } from "@huggingface/transformers";

const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"];
const special = (content) => ({ id: words.indexOf(content), content, special: true, normalized: false });
const mark = (id) => ({ SpecialToken: { id, type_id: 0 } });
const text = (id) => ({ Sequence: { id, type_id: 0 } });
const tokens = (content) => ({ id: content, ids: [words.indexOf(content)], tokens: [content] });
const tokenizer = new BertTokenizer(
  {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: words.slice(0, 5).map(special),
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [mark("[CLS]"), text("A"), mark("[SEP]")],
      pair: [mark("[CLS]"), text("A"), mark("[SEP]"), text("B"), mark("[SEP]")],
      special_tokens: { "[CLS]": tokens("[CLS]"), "[SEP]": tokens("[SEP]") },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  },
  { unk_token: "[UNK]", sep_token: "[SEP]", pad_token: "[PAD]", cls_token: "[CLS]", mask_token: "[MASK]" },
);
const read = (max_length) => {
  const { input_ids: ids } = tokenizer("a b c", { truncation: true, max_length, return_tensor: false });
  return ids.map((id) => words[id]).join(" ");
};
console.log(`whole: ${read(8)}; cut to 3: ${read(3)}`);
PROGRAM
output=$(node program.mjs)
echo "$output"
test "$output" = "whole: [CLS] a b c [SEP]; cut to 3: [CLS] a b"
