"""Published checkpoints: nothing pickled is run; names, shapes and what they compute are as ModuleFormer's code has them."""

import json
import math
import pickle
import zipfile

import pytest
import safetensors.torch
import torch

import convert
from convert import SPECIMEN, UnsafePickle


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').write('ran')",)


def published(folder, shards=1):
    """A folder as published: pickles, with the buffers that older checkpoints carry."""
    folder.mkdir()
    weights = convert.random_weights(SPECIMEN)
    buffers = {f"transformer.h.0{name}": torch.ones(4, 4) for name in convert.BUFFERS}
    names = [*weights, *buffers]
    for number in range(shards):
        part = {name: (weights | buffers)[name].bfloat16() for name in names[number::shards]}
        suffix = "" if shards == 1 else f"-{number + 1:05d}-of-{shards:05d}"
        torch.save(part, folder / f"pytorch_model{suffix}.bin")
    (folder / "config.json").write_text(json.dumps(SPECIMEN))
    return weights


@pytest.mark.parametrize("shards", [1, 2])
def test_every_tensor_survives_and_buffers_do_not(tmp_path, shards):
    weights = published(tmp_path / "in", shards)
    files = convert.convert(tmp_path / "in", tmp_path / "out")
    found = {}
    for file in files:
        found |= safetensors.torch.load_file(file)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weight.bfloat16()) for name, weight in weights.items())
    assert (tmp_path / "out" / "model.safetensors.index.json").exists() == (shards == 2)
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == SPECIMEN


def zipped(path, content):
    """The zip form of torch.save around a pickle of one's own."""
    torch.save({"a": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, content if name.endswith("data.pkl") else data)


@pytest.mark.parametrize("form", ["plain pickle", "zip"])
def test_a_malicious_pickle_is_refused_and_never_run(tmp_path, form):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    proof = tmp_path / "ran"
    content = pickle.dumps({"weight": Malicious(proof)}, protocol=2)
    path = folder / "pytorch_model.bin"
    path.write_bytes(content) if form == "plain pickle" else zipped(path, content)
    with pytest.raises(UnsafePickle):
        convert.convert(folder, tmp_path / "out")
    assert not proof.exists() and not list((tmp_path / "out").glob("*.safetensors"))
    pickle.loads(content)
    assert proof.exists()  # it would have run


def test_something_else_than_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.bin")
    with pytest.raises(UnsafePickle, match="named tensors"):
        convert.read_shard(tmp_path / "a.bin")


def test_the_model_computes_what_the_published_layout_means():
    """One attention layer and one feedforward layer again, from the published tensors, with plain loops in float64."""
    weights = {name: weight.double() for name, weight in convert.random_weights(SPECIMEN).items()}
    model, head = convert.language_model_of(SPECIMEN, weights)
    ids = [3, 50, 7, 150, 9]
    with torch.no_grad():
        found = (model(torch.tensor([ids]))[0] @ head.T)[0]
    x = [weights["transformer.wte.weight"][number] for number in ids]

    def normed(vector, name):
        vector = vector - vector.mean()
        return vector / (vector.square().mean() + 1e-5).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def route(u, name, top):
        inner = weights[f"{name}.gate.w_gate.0.weight"] @ u + weights[f"{name}.gate.w_gate.0.bias"]
        inner = torch.tensor([z * 0.5 * (1 + math.erf(z / math.sqrt(2))) for z in inner.tolist()], dtype=torch.float64)
        p = (weights[f"{name}.gate.w_gate.3.weight"] @ inner).softmax(0)
        return [(e, p[e]) for e in sorted(range(len(p)), key=lambda e: (-p[e].item(), e))[:top]]

    for layer in range(SPECIMEN["n_layer"]):
        block = f"transformer.h.{layer}"
        inputs = [normed(vector, f"{block}.ln_1") for vector in x]
        for i, u in enumerate(inputs):
            for e, p in route(u, f"{block}.attn.q_proj", 2):
                query = u @ weights[f"{block}.attn.q_proj.experts.weight"][e]
                scores = [(query @ inputs[j]).item() / math.sqrt(SPECIMEN["att_hidden"]) for j in range(i + 1)]
                beta = [1 / (1 + math.exp(-score)) for score in scores]
                mixed = sum(beta[j] * math.prod(1 - beta[m] for m in range(j + 1, i + 1)) * inputs[j] for j in range(i + 1))
                x[i] = x[i] + p * (mixed @ weights[f"{block}.attn.q_proj.output_experts.weight"][e])
        for i, u in enumerate([normed(vector, f"{block}.ln_2") for vector in x]):
            for e, p in route(u, f"{block}.mlpf", 2):
                inner = u @ weights[f"{block}.mlpf.experts.weight"][e]
                inner = torch.tensor([z / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) for z in inner.tolist()]).double()
                x[i] = x[i] + p * (inner @ weights[f"{block}.mlpf.output_experts.weight"][e])
    for i, vector in enumerate(x):
        expected = weights["lm_head.weight"] @ normed(vector, "transformer.ln_f")
        assert (found[i] - expected).abs().max() < 1e-4
