// ONNX models as bytes: the few messages of onnx.proto that a graph with inline weights needs.

/** Appends the fields of one protobuf message. */
class Message {
  private readonly pieces: Uint8Array[] = [];
  length = 0;

  private push(piece: Uint8Array): this {
    this.pieces.push(piece);
    this.length += piece.length;
    return this;
  }

  private varint(value: number | bigint): this {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    do {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      bytes.push(rest > 0n ? low | 0x80 : low);
    } while (rest > 0n);
    return this.push(Uint8Array.from(bytes));
  }

  int(field: number, value: number | bigint): this {
    return this.varint(field * 8).varint(value);
  }

  float(field: number, value: number): this {
    return this.varint(field * 8 + 5).push(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.varint(field * 8 + 2)
      .varint(value.length)
      .push(value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, "utf8"));
  }

  message(field: number, value: Message): this {
    this.varint(field * 8 + 2).varint(value.length);
    for (const piece of value.pieces) this.push(piece);
    return this;
  }

  toBytes(): Uint8Array {
    const whole = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

const elementTypes = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const;
type ElementType = keyof typeof elementTypes;

/** The bits of fp16 are given as Uint16Array. */
export type Constant = Float32Array | Uint16Array | Int8Array | Uint8Array | BigInt64Array;

/** A number with a fraction part is written as a float attribute: `{ float: 1e-6 }`; whole numbers as integers. */
type Attribute = number | readonly number[] | { readonly float: number };

/** Builds one graph, node by node; every method returns the name of what it made. */
export class GraphBuilder {
  private readonly graph = new Message();
  private readonly outputs: Message[] = [];
  private names = 0;

  private fresh(hint: string): string {
    return `${hint}_${this.names++}`;
  }

  /** A graph input; a dimension given as text is free. */
  input(name: string, type: ElementType, shape: readonly (number | string)[]): string {
    this.graph.message(11, valueInfo(name, type, shape));
    return name;
  }

  output(source: string, name: string, type: ElementType, shape: readonly (number | string)[]): void {
    this.graph.message(
      1,
      new Message().text(1, source).text(2, name).text(3, this.fresh("output")).text(4, "Identity"),
    );
    this.outputs.push(valueInfo(name, type, shape));
  }

  constant(values: Constant, shape: readonly number[]): string {
    const name = this.fresh("constant");
    const tensor = new Message();
    for (const size of shape) tensor.int(1, size);
    tensor
      .int(2, elementTypes[typeOf(values)])
      .text(8, name)
      .bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.graph.message(5, tensor);
    return name;
  }

  /** An operator with one output. An operator of another domain is written "domain:Operator". */
  node(operator: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.nodes(operator, inputs, 1, attributes)[0]!;
  }

  nodes(
    operator: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string[] {
    const [type, domain] = operator.split(":").reverse() as [string, string?];
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    const outputs = Array.from({ length: count }, () => this.fresh(type));
    for (const output of outputs) node.text(2, output);
    node.text(3, this.fresh("node")).text(4, type);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    if (domain) node.text(7, domain);
    this.graph.message(1, node);
    return outputs;
  }

  /** The bytes of the model: IR 10, opset 21 of ONNX and version 1 of com.microsoft. */
  toBytes(): Uint8Array {
    this.graph.text(2, "encoder");
    for (const output of this.outputs) this.graph.message(12, output);
    return new Message()
      .int(1, 10)
      .text(2, "tessera")
      .message(7, this.graph)
      .message(8, new Message().text(1, "").int(2, 21))
      .message(8, new Message().text(1, "com.microsoft").int(2, 1))
      .toBytes();
  }
}

function typeOf(values: Constant): ElementType {
  if (values instanceof Float32Array) return "float";
  if (values instanceof Uint16Array) return "float16";
  if (values instanceof Int8Array) return "int8";
  return values instanceof Uint8Array ? "uint8" : "int64";
}

function valueInfo(name: string, type: ElementType, shape: readonly (number | string)[]): Message {
  const dimensions = new Message();
  for (const size of shape)
    dimensions.message(1, typeof size === "number" ? new Message().int(1, size) : new Message().text(2, size));
  const tensor = new Message().int(1, elementTypes[type]).message(2, dimensions);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === "number") return message.int(3, value).int(20, 2);
  if ("float" in value) return message.float(2, value.float).int(20, 1);
  for (const item of value) message.int(8, item);
  return message.int(20, 7);
}
