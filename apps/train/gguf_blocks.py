"""Golden blocks of every GGUF type that packages/models reads: random bytes, and what the package `gguf` makes of them.

    python gguf_blocks.py ../../packages/models/src/fixtures/gguf-blocks.json

Needs the packages gguf (0.19.0) and numpy.
"""

import base64
import json
import sys

import gguf
import numpy as np
from gguf.quants import dequantize

ROWS = 2
TYPES = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
# the bytes where each type's block holds numbers of 16 bits
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def main(path):
    random = np.random.default_rng(24)
    cases = []
    for name in TYPES:
        kind = getattr(gguf.GGMLQuantizationType, name)
        values, size = gguf.GGML_QUANT_SIZES[kind]
        columns = max(values, 32) * 2
        if name in HALVES:
            rows = random.integers(0, 256, (ROWS, columns // values, size), dtype=np.uint8)
            for place in HALVES[name]:
                halves = (random.standard_normal((ROWS, columns // values)) * 0.02).astype(np.float16)
                rows[:, :, place : place + 2] = halves[..., None].view(np.uint8)
            rows = rows.reshape(ROWS, -1)
        else:
            numbers = random.standard_normal((ROWS, columns)).astype(np.float32)
            rows = gguf.quants.quantize(numbers, kind).view(np.uint8).reshape(ROWS, -1)
        found = dequantize(rows, kind).astype(np.float32)
        assert found.shape == (ROWS, columns) and np.isfinite(found).all()
        text = lambda array: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        cases.append({"type": name, "columns": columns, "bytes": text(rows), "values": text(found)})
    with open(path, "w") as file:
        json.dump({"gguf": "0.19.0", "rows": ROWS, "cases": cases}, file)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
