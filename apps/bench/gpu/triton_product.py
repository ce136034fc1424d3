"""Compiles the matrix product of experiment E8 to PTX, which a driver loads without Python or a toolkit; needs no GPU.

python triton_product.py writes product.ptx and product.json beside this file.
"""
import json
import pathlib
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def product(
    x, w, y, rows, inputs, outputs, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr, GROUP: tl.constexpr
):
    """y [rows, outputs] = x [rows, inputs] · wᵀ, w [outputs, inputs]; fp16, summed in fp32. Tiles divide the sizes."""
    tile = tl.program_id(0)
    down = rows // ROWS
    across = outputs // OUTPUTS
    # tiles in groups of rows, so that the rows of w stay in the cache
    group = tile // (GROUP * across)
    height = min(down - group * GROUP, GROUP)
    i = group * GROUP + (tile % (GROUP * across)) % height
    j = (tile % (GROUP * across)) // height
    r = i * ROWS + tl.arange(0, ROWS)
    c = j * OUTPUTS + tl.arange(0, OUTPUTS)
    k = tl.arange(0, INPUTS)
    left = x + r[:, None] * inputs + k[None, :]
    right = w + c[None, :] * inputs + k[:, None]
    total = tl.zeros((ROWS, OUTPUTS), tl.float32)
    for _ in range(0, inputs, INPUTS):
        total = tl.dot(tl.load(left), tl.load(right), total)
        left += INPUTS
        right += INPUTS
    tl.store(y + r[:, None] * outputs + c[None, :], total.to(tl.float16))


def main():
    sizes = {"ROWS": 128, "OUTPUTS": 128, "INPUTS": 64, "GROUP": 8}
    source = ASTSource(
        fn=product,
        signature={"x": "*fp16", "w": "*fp16", "y": "*fp16", "rows": "i32", "inputs": "i32", "outputs": "i32"}
        | {name: "constexpr" for name in sizes},
        constexprs=sizes,
        attrs={(i,): [["tt.divisibility", 16]] for i in range(6)},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8, "num_stages": 4})
    ptx = re.sub(r"^\s*\.loc.*\n", "", compiled.asm["ptx"], flags=re.MULTILINE)
    ptx = re.sub(r"\n\s*\.(section|file)\b[\s\S]*$", "\n", ptx)
    ptx = re.sub(r"^\s*//.*\n|\s*//[^\n]*$", "", ptx, flags=re.MULTILINE)
    here = pathlib.Path(__file__).parent
    (here / "product.ptx").write_text(ptx)
    about = {
        "triton": triton.__version__,
        "entry": compiled.metadata.name,
        "threads": 32 * compiled.metadata.num_warps,
        "shared": compiled.metadata.shared,
        "tile": [sizes["ROWS"], sizes["OUTPUTS"], sizes["INPUTS"]],
    }
    (here / "product.json").write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    main()
