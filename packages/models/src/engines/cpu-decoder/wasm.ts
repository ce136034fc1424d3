// WebAssembly as bytes: the few instructions that the kernels need, written as expressions. Opcodes are those of the core
// specification 3.0 with 128-bit vectors, relaxed ones among them.

export type Code = readonly number[];
type ValueType = "i32" | "f32" | "v128";

const valueTypes: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const vector = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const name = (text: string): number[] => [...unsigned(text.length), ...Buffer.from(text, "latin1")];
const single = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];

const unary =
  (...opcode: number[]) =>
  (a: Code): Code => [...a, ...opcode];
const binary =
  (...opcode: number[]) =>
  (a: Code, b: Code): Code => [...a, ...b, ...opcode];
/** An operator of vectors. */
const v1 = (opcode: number) => unary(0xfd, ...unsigned(opcode));
const v2 = (opcode: number) => binary(0xfd, ...unsigned(opcode));
/** Alignment is given as one byte: it is a hint only. */
const access =
  (...opcode: number[]) =>
  (address: Code, offset = 0): Code => [...address, ...opcode, 0, ...unsigned(offset)];
const write =
  (...opcode: number[]) =>
  (address: Code, value: Code, offset = 0): Code => [...address, ...value, ...opcode, 0, ...unsigned(offset)];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load: access(0x28),
  eqz: unary(0x45),
  /** Of addresses and counts: without a sign. */
  lt: binary(0x49),
  ge: binary(0x4e),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  div: binary(0x6d),
  shl: binary(0x74),
  and: binary(0x71),
  or: binary(0x72),
  store: write(0x36),
};

export const f32 = {
  const: (value: number): Code => [0x43, ...single(value)],
  load: access(0x2a),
  store: write(0x38),
  lt: binary(0x5d),
  eq: binary(0x5b),
  sqrt: unary(0x91),
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  div: binary(0x95),
  max: binary(0x97),
  ofInteger: unary(0xb2),
};

export const v128 = {
  load: access(0xfd, 0),
  /** One number of 32 bits in every lane. */
  splat: access(0xfd, 9),
  /** Eight bytes as eight signed numbers of 16 bits. */
  load8x8: access(0xfd, 1),
  /** Four numbers of 16 bits as four signed numbers of 32 bits. */
  load16x4: access(0xfd, 3),
  store: write(0xfd, 11),
  and: v2(78),
  or: v2(80),
  /** The bits of `a` where the mask is set, else those of `b`. */
  select: (a: Code, b: Code, mask: Code): Code => [...a, ...b, ...mask, 0xfd, 82],
};

/** Picks four of the eight lanes of 32 bits of a and b. */
export const shuffle32 = (a: Code, b: Code, lanes: readonly number[]): Code => [
  ...a,
  ...b,
  0xfd,
  13,
  ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
];

export const i8x16 = { narrow: v2(101) };

export const i16x8 = {
  const: (value: number): Code => [
    ...[0xfd, 12],
    ...Array.from({ length: 8 }, () => [value & 255, (value >> 8) & 255]).flat(),
  ],
  narrow: v2(133),
  shr: (a: Code, bits: number): Code => [...a, ...i32.const(bits), 0xfd, ...unsigned(141)],
  add: v2(142),
  /** Pairs of products of bytes, summed: those of `a` have a sign, those of `b` are at most 127, so that every machine agrees. */
  dotBytes: v2(0x112),
};

export const i32x4 = {
  const: (value: number): Code => [
    ...[0xfd, 12],
    ...[0, 1, 2, 3].flatMap(() => [0, 8, 16, 24].map((bits) => (value >>> bits) & 255)),
  ],
  splat: v1(17),
  add: v2(174),
  shl: (a: Code, bits: number): Code => [...a, ...i32.const(bits), 0xfd, ...unsigned(171)],
  /** Pairs of products of 16-bit numbers, summed. */
  dot: v2(186),
  ofFloat: v1(248),
};

export const f32x4 = {
  const: (value: number): Code => [0xfd, 12, ...[0, 1, 2, 3].flatMap(() => single(value))],
  splat: v1(19),
  lane: (a: Code, lane: number): Code => [...a, 0xfd, 31, lane],
  lt: v2(67),
  abs: v1(224),
  add: v2(228),
  sub: v2(229),
  mul: v2(230),
  div: v2(231),
  min: v2(232),
  max: v2(233),
  nearest: v1(106),
  /** a · b + c, rounded once where the machine can. */
  madd: (a: Code, b: Code, c: Code): Code => [...a, ...b, ...c, 0xfd, ...unsigned(0x105)],
  ofInteger: v1(250),
};

/** do … while */
export const repeat = (body: readonly Code[], condition: Code): Code => [
  0x03,
  0x40,
  ...body.flat(),
  ...condition,
  0x0d,
  0,
  0x0b,
];

export const loop = (condition: Code, body: readonly Code[]): Code => [
  ...[0x02, 0x40, 0x03, 0x40],
  ...i32.eqz(condition),
  ...[0x0d, 1],
  ...body.flat(),
  ...[0x0c, 0, 0x0b, 0x0b],
];

export const when = (condition: Code, then: readonly Code[], otherwise: readonly Code[] = []): Code => [
  ...condition,
  0x04,
  0x40,
  ...then.flat(),
  ...(otherwise.length > 0 ? [0x05, ...otherwise.flat()] : []),
  0x0b,
];

/** A variable of a function. */
export interface Local {
  readonly type: ValueType;
  readonly get: Code;
  set(value: Code): Code;
}

/** As many variables. */
export type Locals<N extends number, T extends Local[] = []> = T["length"] extends N ? T : Locals<N, [...T, Local]>;

/** One function; parameters first, then variables as they are asked for. */
export class FunctionBuilder {
  private readonly locals: ValueType[] = [];

  constructor(
    readonly name: string,
    readonly parameters: readonly ValueType[],
    readonly result: ValueType | undefined,
    body: (procedure: FunctionBuilder, ...parameters: Local[]) => readonly Code[],
  ) {
    this.body = body(this, ...parameters.map((type, index) => this.at(type, index))).flat();
  }

  private readonly body: Code;

  variable(type: ValueType): Local {
    return this.at(type, this.parameters.length + this.locals.push(type) - 1);
  }

  variables<N extends number>(count: N, type: ValueType): Locals<N> {
    return Array.from({ length: count }, () => this.variable(type)) as Locals<N>;
  }

  private at(type: ValueType, index: number): Local {
    return {
      type,
      get: [0x20, ...unsigned(index)],
      set: (value) => [...value, 0x21, ...unsigned(index)],
    };
  }

  get signature(): Code {
    const types = (list: readonly ValueType[]): number[] => vector(list.map((type) => [valueTypes[type]]));
    return [0x60, ...types(this.parameters), ...types(this.result ? [this.result] : [])];
  }

  get code(): Code {
    const locals = vector(this.locals.map((type) => [1, valueTypes[type]]));
    const content = [...locals, ...this.body, 0x0b];
    return [...unsigned(content.length), ...content];
  }
}

/** A module of functions over one shared memory, imported as "memory"."memory". */
export function assemble(procedures: readonly FunctionBuilder[]): Uint8Array<ArrayBuffer> {
  const section = (id: number, content: Code): number[] => [id, ...unsigned(content.length), ...content];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector(procedures.map(({ signature }) => signature))),
    // shared, with a least and a most number of pages
    ...section(2, vector([[...name("memory"), ...name("memory"), 0x02, 0x03, ...unsigned(1), ...unsigned(65536)]])),
    ...section(3, vector(procedures.map((_, index) => unsigned(index)))),
    ...section(7, vector(procedures.map((procedure, index) => [...name(procedure.name), 0x00, ...unsigned(index)]))),
    ...section(10, vector(procedures.map(({ code }) => code))),
  ]);
}

/** Memory that threads share. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
}

/** What this needs of the global WebAssembly, which the types of Node leave out. */
const runtime = (
  globalThis as unknown as {
    readonly WebAssembly: {
      readonly Memory: new (pages: {
        readonly initial: number;
        readonly maximum: number;
        readonly shared: true;
      }) => SharedMemory;
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (module: object, imports: object) => { readonly exports: object };
    };
  }
).WebAssembly;

const pageBytes = 65536;
/** The most that 32-bit addresses reach. */
export const mostBytes = 65536 * pageBytes;

/** Pages are zeros, and take room on the machine once they are written. */
export function sharedMemory(bytes: number): SharedMemory {
  const pages = Math.ceil(bytes / pageBytes);
  return new runtime.Memory({ initial: pages, maximum: pages, shared: true });
}

/** The functions of a module made by `assemble`. */
export const instantiate = (bytes: Uint8Array, memory: SharedMemory): object =>
  new runtime.Instance(new runtime.Module(bytes), { memory: { memory } }).exports;
