"""One layer of the mixture-of-experts language model as ONNX with true sparsity: an If for every module, of which only the chosen ones run.

    python decoder_layer.py < shape.json     prints {"milliseconds": …}, the median time of one decoding step of one layer

The shape is that of config.json with "cached": the tokens that are in the cache. Weights are random, 8 bits in blocks of 32
(MatMulNBits with int8 activations); one thread. The keys and values of the new token are computed, the cache is an input.
"""

import json
import sys
import time

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANDOM = numpy.random.default_rng(1)
BLOCK = 32


class Graph:
    """Nodes of one graph; a subgraph reads the names and adds to the weights of the whole."""

    def __init__(self, whole: "Graph | None" = None) -> None:
        self.nodes, self.weights, self.whole = [], [], whole or self
        self.count = 0

    def name(self) -> str:
        self.whole.count += 1
        return f"x{self.whole.count}"

    def constant(self, values: numpy.ndarray) -> str:
        name = self.name()
        self.whole.weights.append(numpy_helper.from_array(values, name))
        return name

    def number(self, *values: float) -> str:
        return self.constant(numpy.array(values if len(values) != 1 else values[0], numpy.float32))

    def integers(self, *values: int) -> str:
        return self.constant(numpy.array(values, numpy.int64))

    def node(self, operator: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes) -> str:
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def matrix(self, x: str, rows: int, columns: int) -> str:
        """x Wᵀ, W rows × columns in 8 bits."""
        weights = RANDOM.integers(0, 255, (rows, columns // BLOCK, BLOCK), numpy.uint8)
        scales = numpy.full((rows, columns // BLOCK), 1 / (73 * columns**0.5), numpy.float32)
        return self.node("MatMulNBits", x, self.constant(weights), self.constant(scales), domain="com.microsoft",
                         K=columns, N=rows, bits=8, block_size=BLOCK, accuracy_level=4)  # fmt: skip

    def norm(self, x: str, width: int) -> str:
        ones = numpy.ones(width, numpy.float32)
        return self.node("LayerNormalization", x, self.constant(ones), self.constant(0 * ones), axis=-1, epsilon=1e-5)

    def branch(self, condition: str, total: str, change) -> str:
        """total + change(graph) where the condition holds, else total; only then is it computed."""
        then, otherwise = Graph(self.whole), Graph(self.whole)
        then.node("Add", total, change(then))
        otherwise.node("Identity", total)
        graphs = [helper.make_graph(one.nodes, one.name(), [], [helper.make_tensor_value_info(one.nodes[-1].output[0], TensorProto.FLOAT, None)]) for one in (then, otherwise)]  # fmt: skip
        return self.node("If", condition, then_branch=graphs[0], else_branch=graphs[1])


def routed(graph: Graph, x: str, u: str, shape: dict, kind: str, module) -> str:
    """x + Σ over the chosen e of p_e · module_e(u)"""
    hidden, gate, count, top = shape["hidden"], shape["gate"], shape[kind]["experts"], shape[kind]["top"]
    inner = graph.node("Gelu", graph.matrix(u, gate, hidden))
    p = graph.node("Softmax", graph.matrix(inner, count, gate), axis=-1)
    values, chosen = graph.node("TopK", p, graph.integers(top), outputs=2, axis=-1)
    for expert in range(count):
        hits = graph.node("Equal", chosen, graph.constant(numpy.array(expert, numpy.int64)))
        weight = graph.node("ReduceSum", graph.node("Mul", values, graph.node("Cast", hits, to=TensorProto.FLOAT)), keepdims=0)
        runs = graph.node("Greater", weight, graph.number(0.0))
        x = graph.branch(runs, x, lambda inside, weight=weight: inside.node("Mul", module(inside, u), weight))
    return x


def layer(shape: dict) -> bytes:
    graph = Graph()
    hidden, attention, feedforward = shape["hidden"], shape["attention"], shape["feedforward"]
    size, heads = attention["size"], attention["heads"]
    width = size // heads
    u = graph.norm("x", hidden)
    split = graph.integers(heads, 1, width)
    keys = graph.node("Concat", "keys", graph.node("Reshape", graph.matrix(u, size, hidden), split), axis=1)
    values = graph.node("Concat", "values", graph.node("Reshape", graph.matrix(u, size, hidden), split), axis=1)
    turned = graph.node("Transpose", keys, perm=[0, 2, 1])

    def attend(inside: Graph, u: str) -> str:
        q = inside.node("Reshape", inside.matrix(u, size, hidden), split)
        scores = inside.node("Mul", inside.node("MatMul", q, turned), graph.number(width**-0.5))
        broken = inside.node("CumSum", inside.node("Softplus", scores), graph.constant(numpy.array(2, numpy.int64)), reverse=1)
        weights = inside.node("Exp", inside.node("Sub", scores, broken))
        found = inside.node("Reshape", inside.node("MatMul", weights, values), graph.integers(1, size))
        return inside.matrix(found, hidden, size)

    def feed(inside: Graph, u: str) -> str:
        inner = inside.node("Gelu", inside.matrix(u, feedforward["size"], hidden), approximate="tanh")
        return inside.matrix(inner, hidden, feedforward["size"])

    y = routed(graph, "x", u, shape, "attention", attend)
    y = routed(graph, y, graph.norm(y, hidden), shape, "feedforward", feed)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, hidden])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [heads, "cached", width]) for name in ("keys", "values")]
    outputs = [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, hidden])]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph(graph.nodes, "layer", inputs, outputs, graph.weights), opset_imports=opsets)
    model.ir_version = 10
    return model.SerializeToString()


def main() -> None:
    shape = json.load(sys.stdin)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(layer(shape), options, ["CPUExecutionProvider"])
    heads = shape["attention"]["heads"]
    cache = RANDOM.standard_normal((heads, shape["cached"], shape["attention"]["size"] // heads), numpy.float32)
    tokens = RANDOM.standard_normal((400, 1, shape["hidden"]), numpy.float32)
    times = []
    for token in tokens:
        began = time.process_time()
        session.run(None, {"x": token, "keys": cache, "values": cache})
        times.append(time.process_time() - began)
    print(json.dumps({"milliseconds": 1000 * float(numpy.median(times[100:])), "runtime": onnxruntime.__version__}))


if __name__ == "__main__":
    main()
