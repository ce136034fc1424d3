"""Rivals of E1, E3 and E4 in torch, one JSON line a figure: products, and both models compiled with CUDA graphs.

The models are those of models.ts with random weights. --device cpu shows that it runs where there is no GPU.
"""
import argparse
import json
import time

import torch
import torch.nn.functional as F


def figure(experiment, name, value, unit, note=None):
    line = {"experiment": experiment, "system": "torch", "name": name, "value": value, "unit": unit}
    print(json.dumps(line | ({"note": note} if note else {})), flush=True)


class Clock:
    def __init__(self, device, tiny):
        self.device, self.rounds = device, 1 if tiny else 7

    def median(self, work):
        for _ in range(1 if self.rounds == 1 else 3):
            work()
        times = []
        for _ in range(self.rounds):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - start)
        return sorted(times)[self.rounds // 2]

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


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

    def forward(self, x, cos, sin):
        texts, tokens, hidden = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(texts, tokens, 3, self.heads, hidden // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.output(a.transpose(1, 2).reshape(texts, tokens, hidden))
        gate, up = self.gate_up(self.feedforward_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Encoder(torch.nn.Module):
    """ids [texts, tokens], all of one length → unit vectors [texts, hidden]."""

    def __init__(self, hidden, heads, inner, layers, vocabulary, tokens):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, hidden)
        self.blocks = torch.nn.ModuleList(Block(hidden, heads, inner) for _ in range(layers))
        self.norm = torch.nn.RMSNorm(hidden)
        self.projection = torch.nn.Linear(hidden, hidden, bias=False)
        half = hidden // heads // 2
        angles = torch.arange(tokens)[:, None] * 10000 ** (-torch.arange(half) / half)[None]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.normalize(self.projection(self.norm(x).mean(1)), dim=-1)


class Router(torch.nn.Module):
    """The weights of the chosen modules, [sequences, top], and which they are."""

    def __init__(self, hidden, gate, modules, top):
        super().__init__()
        self.inner, self.outer, self.top = torch.nn.Linear(hidden, gate), torch.nn.Linear(gate, modules, bias=False), top

    def forward(self, u):
        return self.outer(F.gelu(self.inner(u))).float().softmax(-1).topk(self.top)


def stick_breaking(logits, seen):
    """Weights from logits [..., context] over keys in order; keys that are not `seen` take nothing of the stick."""
    logits = logits.float()
    log_rest = F.logsigmoid(-logits).masked_fill(~seen, 0)
    # what the keys after j left: the sum of log(1 − β) over them
    left = log_rest.flip(-1).cumsum(-1).flip(-1) - log_rest
    return (F.logsigmoid(logits) + left).exp().masked_fill(~seen, 0)


class Layer(torch.nn.Module):
    """One token of each sequence: attention by two of eight modules over a cache, then two of sixteen feed-forward ones."""

    def __init__(self, shape, sequences, context):
        super().__init__()
        hidden, size, inner, gate, heads = shape["hidden"], shape["size"], shape["inner"], shape["gate"], shape["heads"]
        self.heads = heads
        self.attention_norm, self.feedforward_norm = torch.nn.LayerNorm(hidden), torch.nn.LayerNorm(hidden)
        self.attention_router, self.feedforward_router = Router(hidden, gate, 8, 2), Router(hidden, gate, 16, 2)
        random = lambda *sizes: torch.nn.Parameter(torch.randn(sizes) / sizes[-1] ** 0.5)  # noqa: E731
        self.query, self.output = random(8, size, hidden), random(8, hidden, size)
        self.key_value = random(2 * size, hidden)
        self.input, self.back = random(16, inner, hidden), random(16, hidden, inner)
        self.register_buffer("keys", torch.zeros(sequences, heads, context, size // heads))
        self.register_buffer("values", torch.zeros(sequences, heads, context, size // heads))

    def modules_of(self, x, weights, chosen, table):
        """Σ over the chosen e of w_e · table_e x, x [sequences, top, inputs]; few sequences read only what they chose."""
        if x.shape[0] == 1:
            return torch.einsum("bti,btoi->bto", x, table[chosen]) * weights[..., None]
        return torch.einsum("bti,bte,eoi->bto", x, F.one_hot(chosen, table.shape[0]).to(x.dtype), table) * weights[..., None]

    def forward(self, x, at, seen):
        sequences, hidden = x.shape
        u = self.attention_norm(x)
        weights, chosen = self.attention_router(u)
        ones = torch.ones_like(weights, dtype=x.dtype)
        q = self.modules_of(u[:, None].expand(-1, 2, -1), ones, chosen, self.query)
        q = q.view(sequences, 2, self.heads, -1)
        k, v = (u @ self.key_value.T).view(sequences, 2, self.heads, -1).unbind(1)
        self.keys[:, :, at] = k[:, :, None]
        self.values[:, :, at] = v[:, :, None]
        logits = torch.einsum("bthc,bhsc->bths", q, self.keys) / q.shape[-1] ** 0.5
        found = torch.einsum("bths,bhsc->bthc", stick_breaking(logits, seen).to(x.dtype), self.values)
        x = x + self.modules_of(found.flatten(2), weights.to(x.dtype), chosen, self.output).sum(1)
        u = self.feedforward_norm(x)
        weights, chosen = self.feedforward_router(u)
        z = F.gelu(self.modules_of(u[:, None].expand(-1, 2, -1), ones, chosen, self.input), approximate="tanh")
        return x + self.modules_of(z, weights.to(x.dtype), chosen, self.back).sum(1)


class Generator(torch.nn.Module):
    def __init__(self, shape, sequences, context):
        super().__init__()
        self.embedding = torch.nn.Embedding(shape["vocabulary"], shape["hidden"])
        self.layers = torch.nn.ModuleList(Layer(shape, sequences, context) for _ in range(shape["layers"]))
        self.norm = torch.nn.LayerNorm(shape["hidden"])
        self.register_buffer("places", torch.arange(context))

    def forward(self, ids, at):
        """The likeliest next token of each sequence; `at` [1] is the place of `ids` [sequences] in the cache."""
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, at, self.places <= at)
        return (self.norm(x) @ self.embedding.weight.T).argmax(-1)


def check_stick_breaking():
    """Against the stick as it is told: the newest key breaks its part off what is left first."""
    logits = torch.randn(2, 5, dtype=torch.float64)
    seen = torch.tensor([True, True, True, False, True])
    weights = stick_breaking(logits, seen)
    for row in range(2):
        stick = 1.0
        for j in reversed(range(5)):
            part = torch.sigmoid(logits[row, j]).item() if seen[j] else 0.0
            assert abs(weights[row, j].item() - stick * part) < 1e-6
            stick *= 1 - part


def compiled(model, device):
    # CUDA graphs are what this mode adds; a processor has none
    return torch.compile(model, mode="reduce-overhead") if device == "cuda" else model


def products(clock, device, tiny):
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        for inputs, outputs in ((384, 1152), (384, 1536), (1536, 384), (768, 3072)):
            rows, repeats = (64, 1) if tiny else (16384, 50)
            x = torch.randn(rows, inputs, device=device, dtype=dtype)
            w = torch.randn(outputs, inputs, device=device, dtype=dtype)
            seconds = clock.median(lambda: [x @ w.T for _ in range(repeats)])
            rate = 2 * rows * inputs * outputs * repeats / seconds / 1e12
            figure("E1", f"product {name} {inputs} × {outputs}", rate, "TFLOP/s")


def encoder(clock, device, dtype, tiny):
    texts, tokens = (4, 8) if tiny else (128, 128)
    hidden, heads, inner, vocabulary = (32, 2, 48, 256) if tiny else (384, 6, 1024, 16384)
    model = compiled(Encoder(hidden, heads, inner, 12, vocabulary, tokens).to(device, dtype).eval(), device)
    ids = torch.randint(vocabulary, (texts, tokens), device=device)
    figure("E7", "encoder", texts / clock.median(lambda: model(ids)), "texts/s", "all texts of 128 tokens")


def generator(clock, device, dtype, tiny):
    small = {"hidden": 32, "layers": 2, "size": 16, "inner": 32, "vocabulary": 256, "gate": 16, "heads": 4}
    large = {"hidden": 512, "layers": 12, "size": 256, "inner": 512, "vocabulary": 16384, "gate": 128, "heads": 4}
    context = 16 if tiny else 512
    for name, sequences in (("decode, many sequences", 2 if tiny else 128), ("decode, one sequence", 1)):
        model = Generator(small if tiny else large, sequences, context + 32).to(device, dtype).eval()
        for layer in model.layers:
            layer.keys.normal_()
            layer.values.normal_()
        run = compiled(model, device)
        ids = torch.zeros(sequences, dtype=torch.long, device=device)
        at = torch.tensor([context], device=device)
        figure("E7", name, sequences / clock.median(lambda: run(ids, at)), "tokens/s")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tiny", action="store_true")
    arguments.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    chosen = arguments.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU")
    torch.manual_seed(1)
    check_stick_breaking()
    dtype = torch.float16 if chosen.device == "cuda" else torch.float32
    clock = Clock(chosen.device, chosen.tiny)
    with torch.no_grad():
        products(clock, chosen.device, chosen.tiny)
        encoder(clock, chosen.device, dtype, chosen.tiny)
        generator(clock, chosen.device, dtype, chosen.tiny)


if __name__ == "__main__":
    main()
