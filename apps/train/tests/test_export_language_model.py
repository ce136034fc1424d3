"""Bundles of language models: what is written computes what was meant, and an altered one is found out."""

import json

import numpy
import pytest
import torch

import bundle
import export_language_model
import moe
from moe import LanguageModel, Shape

TOY = moe.read_size("mixture-toy")["shape"]


def written(folder, shape=TOY):
    torch.manual_seed(2)
    model = LanguageModel(Shape.of(shape))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    config = export_language_model.config_of(folder.name, shape)
    export_language_model.write(folder, config, model.state_dict(), None, "# toy\n")
    return model.eval(), config


def test_the_golden_cases_are_those_of_the_stored_weights(tmp_path):
    model, _ = written(tmp_path / "toy")
    config, state = bundle.read(tmp_path / "toy")
    stored = export_language_model.model_of(config, state)
    assert config["architecture"] == "tessera-moe"
    assert export_language_model.check(tmp_path / "toy") == []
    case = json.loads((tmp_path / "toy" / "golden.json").read_text())["cases"][1]
    with torch.no_grad():
        logits = stored.logits(stored(torch.tensor([case["ids"]]))[0])[0].double()
        assert not torch.equal(model.embedding.weight, stored.embedding.weight)
    for place, number in enumerate(case["ids"][1:]):
        expected = logits[place, number] - logits[place].logsumexp(-1)
        assert case["logprobs"][place] == pytest.approx(expected.item(), abs=1e-5)
    assert case["argmax"] == logits[:-1].argmax(-1).tolist()
    assert [number for number, _ in case["last"]] == logits[-1].topk(20).indices.tolist()
    assert case["greedy"][0] == case["last"][0][0]
    assert len(case["margin"]) == len(case["attention"]) == len(case["ids"])


def test_an_altered_golden_case_is_found(tmp_path):
    written(tmp_path / "toy")
    path = tmp_path / "toy" / "golden.json"
    document = json.loads(path.read_text())
    document["cases"][2]["logprobs"][0] += 0.01
    path.write_text(json.dumps(document))
    config = json.loads((tmp_path / "toy" / "config.json").read_text())
    config["files"].pop("golden.json")
    (tmp_path / "toy" / "config.json").write_text(json.dumps(config))
    assert len(export_language_model.check(tmp_path / "toy")) == 1


def test_a_dense_bundle_has_no_gate(tmp_path):
    shape = {name: value for name, value in TOY.items() if name != "gate"}
    written(tmp_path / "dense", shape | {"attention": {"size": 8, "heads": 2}, "feedforward": {"size": 16}})
    config, state = bundle.read(tmp_path / "dense")
    assert config["architecture"] == "tessera-dense"
    assert "gate" not in config
    assert not any("gate" in name for name in state)
    assert export_language_model.check(tmp_path / "dense") == []


def test_frequencies_are_shares_by_language():
    torch.manual_seed(4)
    model = LanguageModel(Shape.of({**TOY, "vocabulary": 160}))
    python, markdown = export_language_model.tokens.ID["python"], export_language_model.tokens.ID["markdown"]
    stream = numpy.array(([python] + [60] * 31 + [markdown] + [70] * 31) * 8, numpy.uint16)
    found = export_language_model.frequencies(model, stream, length=64, windows=8)
    assert set(found) == {"python", "markdown"}
    for shares in found.values():
        for kind, modules in (("attention", 4), ("feedforward", 5)):
            assert [len(layer) for layer in shares[kind]] == [modules] * 2
            assert all(sum(layer) == pytest.approx(1) for layer in shares[kind])


def test_the_fixtures_of_packages_models_are_current():
    for name in ("moe-toy", "dense-toy"):
        assert export_language_model.check(export_language_model.FIXTURES / name) == []
