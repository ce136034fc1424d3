"""Tiny random encoders and cross-encoders as transformers saves them, with golden vectors and scores.

    python tiny_encoders.py ../../packages/models/src/fixtures

writes cross-tiny (BERT with a head of one class), modernbert-tiny, qwen3-embedding-tiny and model2vec-tiny, and the ONNX files of bert-tiny and
cross-tiny that transformers.js computes. Weights are saved in fp16 and computed in fp32 from these. Needs torch, transformers,
safetensors, tokenizers, model2vec, onnx and onnxscript.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from model2vec import StaticModel
from tokenizers import Tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    Qwen3Config,
    Qwen3Model,
)

TEXTS = [
    "sort the list of numbers",
    "def add(a, b): return a + b",
    "how long does a retry wait after the third failure?",
    "the quick brown fox jumps over the lazy dog and runs away",
    "x",
]
QUERY = "how long does a retry wait?"


def seeded(model):
    """Weights large enough that every part of the model shows in its outputs."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.35)
            elif "norm" in name.lower() and name.endswith("weight"):
                weight.copy_(1 + 0.3 * torch.randn(weight.shape, generator=generator))
            else:
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
            weight.copy_(weight.half().float())
    return model.eval()


def rounded(values):
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]


def save(model, folder):
    if folder.exists():
        shutil.rmtree(folder)
    model.half().save_pretrained(folder)
    model.float()


def layers_of(model, ids):
    with torch.no_grad():
        found = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return found.hidden_states


def unit(vector):
    return vector / vector.norm()


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n")


def sentence_files(folder, mode, length):
    write(
        folder / "modules.json",
        [
            dict(idx=0, name="0", path="", type="sentence_transformers.models.Transformer"),
            dict(idx=1, name="1", path="1_Pooling", type="sentence_transformers.models.Pooling"),
        ],
    )
    write(folder / "1_Pooling" / "config.json", {f"pooling_mode_{mode}": True})
    write(folder / "sentence_bert_config.json", dict(max_seq_length=length))


class Named(torch.nn.Module):
    """The first output of a model, by its inputs in the order of `bert_inputs`."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]


def export(model, inputs, output, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(inputs)
    sizes = {name: {0: "texts", 1: "length"} for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Named(model),
            tuple(inputs.values()),
            str(path),
            input_names=names,
            output_names=[output],
            dynamic_axes={**sizes, output: {0: "texts"} if output == "logits" else {0: "texts", 1: "length"}},
            opset_version=17,
            dynamo=False,
        )


def bert_inputs(tokenizer, first, second=None):
    encoded = tokenizer.encode(first, second) if second is not None else tokenizer.encode(first)
    as_tensor = lambda values: torch.tensor([values])
    return dict(
        input_ids=as_tensor(encoded.ids),
        attention_mask=as_tensor(encoded.attention_mask),
        token_type_ids=as_tensor(encoded.type_ids),
    )


def bert(fixtures):
    folder = fixtures / "bert-tiny"
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    export(model, bert_inputs(tokenizer, TEXTS[0]), "last_hidden_state", folder / "onnx" / "model.onnx")


def cross(fixtures):
    folder = fixtures / "cross-tiny"
    config = BertConfig(
        vocab_size=135,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=40,
        num_labels=1,
        attn_implementation="eager",
    )
    model = seeded(BertForSequenceClassification(config))
    save(model, folder)
    shutil.copy(fixtures / "bert-tiny" / "tokenizer.json", folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # pairs that are too long lose tokens of the longer text, as transformers does by default
    tokenizer.enable_truncation(40, strategy="longest_first")
    texts = [*TEXTS, " ".join(TEXTS * 2)]
    scores = []
    with torch.no_grad():
        for text in texts:
            scores.append(float(model(**bert_inputs(tokenizer, QUERY, text)).logits[0, 0]))
    ids = [tokenizer.encode(QUERY, text).ids for text in texts]
    write(folder / "golden.json", dict(transformers=transformers.__version__, query=QUERY, texts=texts, ids=ids, scores=scores))
    export(model, bert_inputs(tokenizer, QUERY, TEXTS[0]), "logits", folder / "onnx" / "model.onnx")


def modern_bert(fixtures):
    folder = fixtures / "modernbert-tiny"
    config = ModernBertConfig(
        vocab_size=135,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=64,
        global_attn_every_n_layers=3,
        local_attention=8,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
        attn_implementation="eager",
    )
    model = seeded(ModernBertModel(config))
    save(model, folder)
    shutil.copy(fixtures / "bert-tiny" / "tokenizer.json", folder)
    sentence_files(folder, "mean_tokens", 64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        states = layers_of(model, ids)
        with torch.no_grad():
            last = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        middle = unit(states[2][0].mean(0))
        cases.append(dict(text=text, ids=ids, mean={"2": rounded(middle), "4": rounded(unit(last.mean(0)))}))
    write(folder / "golden.json", dict(transformers=transformers.__version__, cases=cases))


def qwen3_embedding(fixtures):
    folder = fixtures / "qwen3-embedding-tiny"
    document = json.loads((fixtures / "tokenizers" / "qwen2.json").read_text())
    vocabulary = 1 + max([*document["model"]["vocab"].values(), *(added["id"] for added in document["added_tokens"])])
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=40,
        max_position_embeddings=128,
        rope_theta=1000.0,
        attn_implementation="eager",
    )
    model = seeded(Qwen3Model(config))
    save(model, folder)
    end = next(added for added in document["added_tokens"] if added["special"])
    document["post_processor"] = dict(
        type="Sequence",
        processors=[
            dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False),
            dict(
                type="TemplateProcessing",
                single=[dict(Sequence=dict(id="A", type_id=0)), dict(SpecialToken=dict(id=end["content"], type_id=0))],
                pair=[
                    dict(Sequence=dict(id="A", type_id=0)),
                    dict(Sequence=dict(id="B", type_id=0)),
                    dict(SpecialToken=dict(id=end["content"], type_id=0)),
                ],
                special_tokens={end["content"]: dict(id=end["content"], ids=[end["id"]], tokens=[end["content"]])},
            ),
        ],
    )
    (folder / "tokenizer.json").write_text(json.dumps(document))
    sentence_files(folder, "lasttoken", 64)
    write(
        folder / "config_sentence_transformers.json",
        dict(prompts=dict(query="Instruct: find the passage\nQuery:", document=""), default_prompt_name=None),
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            last = model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        prompted = tokenizer.encode("Instruct: find the passage\nQuery:" + text).ids
        cases.append(dict(text=text, ids=ids, prompted=prompted, last=rounded(unit(last))))
    write(folder / "golden.json", dict(transformers=transformers.__version__, cases=cases))


def static_table(fixtures):
    folder = fixtures / "model2vec-tiny"
    tokenizer = Tokenizer.from_file(str(fixtures / "bert-tiny" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    vectors = np.random.default_rng(5).standard_normal((tokenizer.get_vocab_size(), 24)).astype(np.float32)
    model = StaticModel(vectors, tokenizer, config={}, normalize=True)
    if folder.exists():
        shutil.rmtree(folder)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    texts = [*TEXTS, "☃ unknown ☃"]
    write(folder / "golden.json", dict(texts=texts, vectors=[rounded(torch.tensor(vector)) for vector in model.encode(texts)]))


def main(target):
    fixtures = Path(target)
    for make in (bert, cross, modern_bert, qwen3_embedding, static_table):
        make(fixtures)


if __name__ == "__main__":
    main(*sys.argv[1:])
