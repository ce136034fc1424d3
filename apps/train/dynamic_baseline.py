"""What the usual way gives: an encoder bundle through torch.onnx.export and onnxruntime's quantize_dynamic.

    python dynamic_baseline.py BUNDLE

Prints JSON: first the least cosine to the vectors of the same weights in fp32, then, for every line that it reads, texts of
32 tokens a second of one core's processor time at the last exit, eight texts a run on one thread: so that whoever compares
can take turns. Needs onnx and onnxruntime beside requirements.txt.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch
import torch.nn.functional as F
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load_file
from torch import Tensor, nn

TEXTS, LENGTH, RUNS = 8, 32, 8


class Encoder(nn.Module):
    """docs/models/bundle.md for texts of one length, at the last exit; [texts, length] → [texts, hidden]."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.config = json.loads((folder / "config.json").read_text())
        stored: dict[str, Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            stored |= load_file(file)
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "/"): nn.Parameter(
                    value.float() * stored[f"{name}.scale"][:, None] if f"{name}.scale" in stored else value
                )
                for name, value in stored.items()
                if not name.endswith(".scale")
            }
        )
        size = self.config["hidden"] // self.config["heads"]
        angles = torch.arange(LENGTH)[:, None] * self.config["ropeTheta"] ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def weight(self, name: str) -> Tensor:
        return self.weights[name.replace(".", "/")]

    def norm(self, x: Tensor, name: str) -> Tensor:
        return self.weight(name) * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.config["normEpsilon"])

    def multiply(self, x: Tensor, name: str) -> Tensor:
        return torch.matmul(x, self.weight(name).t())

    def rotate(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        return torch.cat([left * self.cos - right * self.sin, right * self.cos + left * self.sin], -1)

    def forward(self, ids: Tensor) -> Tensor:
        heads, last = self.config["heads"], self.config["layers"]
        x = self.weight("embedding.weight")[ids]
        for i in range(last):
            layer = f"layers.{i}"
            normed = self.norm(x, f"{layer}.attention.norm.weight")
            parts = self.multiply(normed, f"{layer}.attention.qkv.weight").chunk(3, -1)
            query, key, value = (part.view(TEXTS, LENGTH, heads, -1).transpose(1, 2) for part in parts)
            query, key = self.rotate(query), self.rotate(key)
            scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
            mixed = torch.matmul(scores.softmax(-1), value).transpose(1, 2).reshape(TEXTS, LENGTH, -1)
            x = x + self.multiply(mixed, f"{layer}.attention.output.weight")
            normed = self.norm(x, f"{layer}.feedforward.norm.weight")
            gate, up = self.multiply(normed, f"{layer}.feedforward.gate_up.weight").chunk(2, -1)
            x = x + self.multiply(F.silu(gate) * up, f"{layer}.feedforward.down.weight")
        pooled = self.norm(x, f"exits.{last}.norm.weight").mean(1)
        return self.multiply(pooled, f"exits.{last}.projection.weight")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    model = Encoder(folder).eval()
    ids = torch.arange(TEXTS * LENGTH).view(TEXTS, LENGTH) * 7919 % model.config["vocabulary"]
    with tempfile.TemporaryDirectory() as place:
        plain, quantised = Path(place, "plain.onnx"), Path(place, "int8.onnx")
        torch.onnx.export(model, (ids,), plain, input_names=["ids"], output_names=["embedding"], dynamo=False)
        quantize_dynamic(plain, quantised, per_channel=True, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(quantised, options, providers=["CPUExecutionProvider"])
    feeds = {"ids": ids.numpy()}
    (found,) = session.run(None, feeds)
    with torch.no_grad():
        cosine = F.cosine_similarity(torch.from_numpy(found), model(ids)).min().item()
    print(json.dumps({"cosine": cosine}), flush=True)
    for _ in sys.stdin:
        before = time.process_time()
        for _ in range(RUNS):
            session.run(None, feeds)
        print(json.dumps({"textsPerSecond": RUNS * TEXTS / (time.process_time() - before)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
