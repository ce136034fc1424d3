"""The bundle format: quantisation against its definition, shards, hashes, golden checks."""

import json

import pytest
import torch

import bundle
import tokenizer


def test_quantisation_is_as_the_format_says():
    torch.manual_seed(0)
    weight = torch.randn(7, 33) * torch.logspace(-3, 2, 7)[:, None]
    weight[3] = 0
    values, scale = bundle.quantise(weight)
    for row in range(7):
        most = max(abs(number) for number in weight[row].tolist())
        expected = most / 127 if most else 1.0
        assert scale[row].item() == pytest.approx(expected, rel=1e-6)
        for stored, number in zip(values[row].tolist(), weight[row].tolist(), strict=True):
            assert abs(stored - number / expected) <= 0.5001 and -127 <= stored <= 127


def test_halves_round_to_even():
    values, _ = bundle.quantise(torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]]))
    assert values.tolist() == [[127, 0, 2, 2, 0, -2]]


def test_experts_have_a_scale_for_each_row():
    assert bundle.quantise(torch.randn(4, 3, 5))[1].shape == (4, 3)


def state():
    torch.manual_seed(1)
    return {"a.weight": torch.randn(64, 40), "b.weight": torch.randn(50, 64), "norm.weight": torch.randn(64)}


def golden(weights):
    return {"cases": [{"text": "é", "vectors": {"1": (weights["b.weight"] @ weights["a.weight"])[0].tolist()}}]}


@pytest.mark.parametrize("shard_bytes", [bundle.SHARD_BYTES, 4_000])
def test_what_is_written_is_read(tmp_path, shard_bytes):
    bundle.write(tmp_path / "b", {"name": "b"}, state(), tokenizer.PATH, golden, "# b\n", shard_bytes)
    config, weights = bundle.read(tmp_path / "b")
    assert config["format"] == "tessera-bundle" and config["name"] == "b"
    expected = bundle.dequantise_all(bundle.quantise_all(state()))
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    shards = sorted(path.name for path in (tmp_path / "b").glob("*.safetensors"))
    if shard_bytes == 4_000:
        places = json.loads((tmp_path / "b" / "model.safetensors.index.json").read_text())["weight_map"]
        assert len(shards) > 1 and set(places.values()) == set(shards)
        assert all((tmp_path / "b" / shard).stat().st_size <= 4_000 for shard in shards)
    else:
        assert shards == ["model.safetensors"]
    assert bundle.check(tmp_path / "b", lambda _, weights: golden(weights)) < 1e-7


def test_golden_numbers_survive_printing():
    numbers = torch.randn(1_000).tolist()
    read = json.loads(bundle.dump_golden({"x": numbers}))["x"]
    assert torch.equal(torch.tensor(read), torch.tensor(numbers))


@pytest.mark.parametrize("file", ["model.safetensors", "golden.json", "tokenizer.json"])
def test_an_altered_or_missing_file_is_refused(tmp_path, file):
    bundle.write(tmp_path / "b", {"name": "b"}, state(), tokenizer.PATH, golden, "")
    path = tmp_path / "b" / file
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(bundle.BadBundle, match="altered"):
        bundle.read(tmp_path / "b")
    path.unlink()
    with pytest.raises(bundle.BadBundle):
        bundle.read(tmp_path / "b")


def test_a_failed_export_leaves_the_old_bundle(tmp_path):
    bundle.write(tmp_path / "b", {"name": "old"}, state(), tokenizer.PATH, golden, "")
    with pytest.raises(ZeroDivisionError):
        bundle.write(tmp_path / "b", {"name": "new"}, state(), tokenizer.PATH, lambda _: 1 / 0, "")
    assert bundle.read(tmp_path / "b")[0]["name"] == "old"


def test_differences_see_every_change():
    assert max(bundle.differences({"a": [1, 2.5]}, {"a": [1, 2.0]})) == 0.5
    for other in ({"a": [1]}, {"b": [1, 2.5]}, {"a": "x"}):
        assert max(bundle.differences({"a": [1, 2.5]}, other)) == float("inf")
