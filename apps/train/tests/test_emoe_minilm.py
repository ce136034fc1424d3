"""Emergent experts in BERT's feedforward: their sums, their gates, what merging gives back; exact balanced clusters."""

import json

import pytest
import torch
import torch.nn.functional as F
from test_bert import SHAPE, loaded, published

import emoe
import emoe_minilm
import emoe_tuning
from emoe_minilm import Classifier, Experts, area
from emoe_tuning import Settings, Utterances
from trainer import Packed

SMALL = Settings(intents=3, examples=4, validation=2, epochs=1, batch=4, layers=(2,), experts=4, top=2, rates=(1e-3,))


def base():
    return loaded(published(SHAPE)).eval()


def labels():
    return {2: torch.arange(SHAPE.intermediate) % 4}


def test_chosen_experts_are_summed_and_the_others_left_out():
    layer, x = base().layers[2], torch.randn(5, SHAPE.hidden)
    experts = Experts(layer.up, labels()[2], 2)
    found = layer.down(F.gelu(experts(x)))
    for token, state in enumerate(x):
        gates = [(state @ layer.up.weight[labels()[2] == expert].mean(0)).item() for expert in range(4)]
        best = sorted(range(4), key=lambda expert: -gates[expert])[:2]
        expected = layer.down.bias.clone()
        for neuron in range(SHAPE.intermediate):
            if int(labels()[2][neuron]) in best:
                expected += F.gelu(state @ layer.up.weight[neuron] + layer.up.bias[neuron]) * layer.down.weight[:, neuron]
        torch.testing.assert_close(found[token], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arm", ["emoe", "random", "bottom"])
def test_all_experts_together_are_the_dense_model_and_so_is_a_merged_one(arm):
    dense, batch = base(), Packed.of([[1, 2, 3], [4]])
    every = Settings(**{**SMALL.__dict__, "top": 4})
    changed = emoe_minilm.emergent(dense, arm, 1, every, labels())
    torch.testing.assert_close(changed.states(batch)[-1], dense.states(batch)[-1])
    few = emoe_minilm.emergent(dense, arm, 1, SMALL, labels())
    assert not torch.allclose(few.states(batch)[-1], dense.states(batch)[-1], atol=1e-3)
    emoe_minilm.merge(few)
    torch.testing.assert_close(few.states(batch)[-1], dense.states(batch)[-1])


def test_the_average_gate_follows_its_keys_and_the_cosine_gate_learns():
    keys = base().layers[2].up
    experts = Experts(keys, labels()[2], 2)
    with torch.no_grad():
        keys.weight.mul_(2)
    torch.testing.assert_close(experts.average()[1], keys.weight[labels()[2] == 1].mean(0))
    assert [name for name, _ in experts.named_parameters()] == ["keys.weight", "keys.bias"]
    learned = Experts(keys, labels()[2], 2, gate="cosine")
    learned(torch.randn(3, SHAPE.hidden)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in learned.gate.parameters())


def test_the_area_counts_pairs():
    assert area(torch.tensor([0.9, 0.5]), torch.tensor([0.5, 0.1])) == pytest.approx(3.5 / 4)
    assert area(torch.tensor([1.0]), torch.tensor([0.0])) == 1


def test_a_run_goes_on_where_it_was_stopped_and_reports_every_figure(tmp_path, capsys, monkeypatch):
    rows = [[f"{shape} {verb}{number}", verb] for verb in ("open", "close", "move") for number in range(20) for shape in ("please", "now", "help", "do")]
    (tmp_path / "train-val.json").write_text(json.dumps({"train": rows, "val": []}))

    def utterances(groups):
        texts = [text for group in groups for text in group]
        return Utterances([[sum(map(ord, text)) % 60, len(text)] for text in texts], [intent for intent, group in enumerate(groups) for _ in group])

    way = emoe_tuning.Way(
        utterances=utterances, classifier=Classifier, merge=lambda model: emoe_minilm.merge(model.base), more=lambda model, test: {"oos": 50.0},
        emergent=lambda base, arm, seed, settings: emoe_minilm.emergent(base, arm, seed, settings, labels()),
    )  # fmt: skip
    emoe_tuning.run(base(), tmp_path, 1, SMALL, clinc=tmp_path, way=way)
    lines = (tmp_path / "emoe-tuning.jsonl").read_text()
    arms = [json.loads(line)["arm"] for line in lines.splitlines() if json.loads(line)["seed"] == 1]
    assert sorted(arms) == sorted(("dense", "sparse", "emoe", "merged", "learned", "random", "bottom"))
    emoe_tuning.run(base(), tmp_path, 1, SMALL, clinc=tmp_path, way=way)
    assert (tmp_path / "emoe-tuning.jsonl").read_text() == lines
    capsys.readouterr()
    emoe_tuning.report(tmp_path, ("inside", "outside", "oos"))
    assert len(capsys.readouterr().out.splitlines()) == 3 * 8


def test_exact_clusters_are_balanced_and_no_worse_than_by_regret():
    pytest.importorskip("scipy", reason="the exact clusters need scipy")
    import balanced

    generator = torch.Generator().manual_seed(4)
    centres = torch.randn(4, 6, generator=generator)
    keys = (centres[:, None] + 0.05 * torch.randn(4, 6, 6, generator=generator)).flatten(0, 1)
    found = balanced.exact_clusters(keys, 4)
    assert found.bincount().tolist() == [6] * 4
    assert all(len(set(group.tolist())) == 1 for group in found.unflatten(0, (4, 6)))
    other = torch.randn(32, 5, generator=generator)
    points = F.normalize(other.double(), dim=-1).numpy()
    exact, regret = (balanced.inertia(points, way(other, 8).numpy(), 8) for way in (balanced.exact_clusters, emoe.balanced_clusters))
    assert exact <= regret
    with pytest.raises(ValueError, match="do not divide"):
        balanced.exact_clusters(other, 5)
