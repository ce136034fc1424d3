"""Small tokenizers of the kinds that published decoders have, and the ids that the Rust library gives for many texts.

    python tokenizer_families.py ../../packages/models/src/fixtures/tokenizers

Needs the package tokenizers. Trained on the sources of this folder and on SCRIPTS; the vocabularies are small.
"""

import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")

SCRIPTS = [
    "The quick brown fox jumps over the lazy dog. It's what they'd say; we'LL see, I'M sure, KELVIN \u212a's and \u017fT'\u017f.",
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.",
    "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, ΣΊΣΥΦΟΣ σίσυφος.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "আমি বাংলায় গান গাই, ১২৩৪৫",
    "தமிழ் எழுத்துக்கள் க்ஷ ஸ்ரீ",
    "తెలుగు లిపి అక్షరాలు",
    "ಕನ್ನಡ ಲಿಪಿ ಅಕ್ಷರಗಳು",
    "മലയാളം അക്ഷരമാല",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า ๑๒๓",
    "ພາສາລາວ ຕົວອັກສອນ",
    "မြန်မာအက္ခရာ ၁၂၃",
    "ភាសាខ្មែរ អក្សរ",
    "ქართული ანბანი გამარჯობა",
    "Հայերեն այբուբեն բարեւ",
    "አማርኛ ፊደል ሰላም",
    "天地玄黄,宇宙洪荒。日月盈昃,辰宿列张。𠀀𠮷",
    "いろはにほへと ちりぬるを ワカヨタレソ ツネナラム ㌔",
    "키스의 고유조건은 입술끼리 만나야 하고 각",
    "Tiếng Việt có dấu: ặ ệ ộ, và e\u0301 a\u030a.",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 e\u0301\u0301 \u200b\u200d\ufeff \u00a0\u2003\u3000\u0085 x\u2028y",
]
PLAIN = ["", " ", "  ", "\n", "\t", "\r\n", "   a", "a   ", "a  b", "\n\n\n  x", "1", "12345678901", "½²³٣", "0x1F", "…", "\x00\x01"]
MARKED = [
    "<|im_start|>user\nhi<|im_end|>\n",
    "  <|im_end|>  text",
    "<|im_start|",
    "a<|im_start|><|im_end|>b",
    "    if x:\n        return 1\n",
    "x                y",
    "<think>\nok</think>",
    "é<think>e\u0301",
]
ADDED = [
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, normalized=False),
    AddedToken("    ", special=False, normalized=False),
    AddedToken("        ", special=False, normalized=False),
    AddedToken("<think>", special=False, normalized=True),
]


def byte_level(name, pre, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return name, tokenizer, trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)


def families():
    split = lambda pattern: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    yield byte_level("gpt2", plain)
    yield byte_level("smollm", pre_tokenizers.Sequence([pre_tokenizers.Digits(True), plain]))
    yield byte_level("llama3", split(LLAMA3), ignore_merges=True)
    yield byte_level("qwen2", split(QWEN2), normalizers.NFC())
    yield byte_level("prefixed", pre_tokenizers.ByteLevel(add_prefix_space=True))
    pieces = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    pieces.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=1100, special_tokens=["<unk>", *bytes_], limit_alphabet=150, show_progress=False
    )
    yield "sentencepiece", pieces, trainer


def texts(sources):
    draw = random.Random(24)
    found = PLAIN + SCRIPTS + MARKED
    lines = [line for source in sources for line in source.split("\n")]
    for _ in range(120):
        at = draw.randrange(len(lines) - 6)
        found.append("\n".join(lines[at : at + draw.randrange(1, 5)]))
    alphabet = [*"abcXYZ019 \n\t.,;_(){}'\"<|>/\\", *"éßжΩ漢字あ한ש", "\u0301", "😀", "\u00a0", "\ufeff", "\u0085", "    ", "<|im_end|>"]
    for _ in range(120):
        found.append("".join(draw.choice(alphabet) for _ in range(draw.randrange(1, 40))))
    return found


def main(output):
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    sources = [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))[:12]]
    cases = texts(sources)
    golden = {"texts": cases, "ids": {}, "marked": {}}
    for name, tokenizer, trainer in families():
        tokenizer.train_from_iterator([*sources, *SCRIPTS * 3], trainer)
        tokenizer.add_tokens(ADDED)
        tokenizer.save(str(folder / f"{name}.json"), pretty=False)
        again = Tokenizer.from_file(str(folder / f"{name}.json"))
        golden["marked"][name] = [again.encode(text, add_special_tokens=False).ids for text in cases]
        again.encode_special_tokens = True
        golden["ids"][name] = [again.encode(text, add_special_tokens=False).ids for text in cases]
    (folder / "cases.json").write_text(json.dumps(golden, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
