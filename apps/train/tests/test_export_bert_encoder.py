"""A bundle of the BERT encoder holds what was trained, to int8, and notices that it was altered."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import bundle
import export_bert_encoder as exporting
from bert import BertExits, BertShape
from bert_encoder import finish

SHAPE = {"vocabulary": 110, "hidden": 16, "layers": 2, "heads": 4, "intermediate": 24, "positions": 300, "table": 8, "exits": [0, 2], "normEpsilon": 1e-12}


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(3)
    words = ["[PAD]", *(f"w{number}" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", "a", "sort", "list", "of", "##s"]
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    finish(BertExits(BertShape.of(SHAPE)), {"steps": 1}, tmp_path, tmp_path)
    return tmp_path


def test_a_bundle_is_checked_by_its_golden_vectors(run):
    exporting.export(run, run / "bundle", run / "tokenizer.json", "| a table |")
    config, state = bundle.read(run / "bundle")
    assert config["positions"] == 256 and state["positions.weight"].shape == (256, 16) and config["exits"] == [0, 2]
    assert "| a table |" in (run / "bundle" / "CARD.md").read_text()
    tokenizer = Tokenizer.from_file(str(run / "bundle" / "tokenizer.json"))

    def again(config, state):
        return exporting.golden(exporting.model_of(config, state), tokenizer, config)

    assert bundle.check(run / "bundle", again) <= bundle.TOLERANCE
    cases = {case["name"]: case for case in json.loads((run / "bundle" / "golden.json").read_text())["cases"]}
    assert cases["query-empty"]["ids"] == [101, 102]
    assert (len(cases["query-cut"]["ids"]), len(cases["text-cut"]["ids"])) == (64, 256)
    trained = torch.load(run / "final.pt", weights_only=True)
    for name, weight in state.items():
        expected = trained[name][: len(weight)]
        assert (weight - expected).norm() <= 0.02 * expected.norm()
    with pytest.raises(AssertionError):
        assert bundle.check(run / "bundle", lambda config, state: again(config, {**state, "table.weight": state["table.weight"] * -1})) <= bundle.TOLERANCE
