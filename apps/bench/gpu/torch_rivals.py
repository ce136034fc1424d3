"""Rivals of experiments E1 and E3 in torch, one JSON line a figure: matrix products and the encoder's blocks, compiled."""
import argparse
import json
import time

import torch
import torch.nn.functional as F


def figure(experiment, name, value, unit):
    print(json.dumps({"experiment": experiment, "name": name, "value": value, "unit": unit}), flush=True)


def median(work, rounds=7):
    for _ in range(3):
        work()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[rounds // 2]


class Block(torch.nn.Module):
    def __init__(self, hidden, heads, inner):
        super().__init__()
        self.heads = heads
        self.attention_norm = torch.nn.RMSNorm(hidden)
        self.qkv = torch.nn.Linear(hidden, 3 * hidden, bias=False)
        self.output = torch.nn.Linear(hidden, hidden, bias=False)
        self.feedforward_norm = torch.nn.RMSNorm(hidden)
        self.gate_up = torch.nn.Linear(hidden, 2 * inner, bias=False)
        self.down = torch.nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        texts, tokens, hidden = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(texts, tokens, 3, self.heads, hidden // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(texts, tokens, hidden)
        x = x + self.output(a)
        gate, up = self.gate_up(self.feedforward_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tiny", action="store_true")
    tiny = arguments.parse_args().tiny
    if not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU")
    torch.manual_seed(1)
    for dtype in (torch.bfloat16, torch.float16):
        for inputs, outputs in ((384, 1152), (384, 1536), (1536, 384), (768, 3072)):
            rows = 64 if tiny else 16384
            x = torch.randn(rows, inputs, device="cuda", dtype=dtype)
            w = torch.randn(outputs, inputs, device="cuda", dtype=dtype)
            repeats = 50
            seconds = median(lambda: [x @ w.T for _ in range(repeats)])
            rate = 2 * rows * inputs * outputs * repeats / seconds / 1e12
            figure("E1", f"torch {dtype} product {rows} x {inputs} x {outputs}", rate, "TFLOP/s")
    texts, tokens, hidden, heads, inner = (4, 8, 32, 2, 48) if tiny else (128, 128, 384, 6, 1024)
    model = torch.nn.Sequential(*(Block(hidden, heads, inner) for _ in range(12))).cuda().half().eval()
    compiled = torch.compile(model, mode="max-autotune-no-cudagraphs" if tiny else "reduce-overhead")
    x = torch.randn(texts, tokens, hidden, device="cuda", dtype=torch.float16)
    with torch.inference_mode():
        figure("E7", "torch.compile with CUDA graphs, encoder", texts / median(lambda: compiled(x)), "texts/s")


if __name__ == "__main__":
    main()
