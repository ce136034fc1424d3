import { z } from "zod";
import type { FlowDocument, NodeDocument, Source } from "./document.js";
import {
  isPlain,
  type Read,
  type Row,
  readJson,
  readMember,
  readReference,
  readSource,
  readType,
  unsure,
  ValueAllowance,
} from "./document-parts.js";
import * as schema from "./document-schema.js";
import { isName, isReference } from "./document-schema.js";
import { TesseraError } from "./errors.js";
import { limits } from "./limits.js";
import type { Json } from "./passage.js";
import type { Sliced } from "./slices.js";

type Path = readonly string[];

interface Fault {
  readonly path: Path;
  readonly message: string;
}

/** What is said of a value that none of several alternatives takes. */
const takenByNone = z.union([z.string(), z.number()]).safeParse(null).error!.issues[0]!.message;

/** Reads a value as a flow document, in slices; see `parseDocument`. */
export function* readingDocument(value: unknown): Sliced<FlowDocument> {
  const reader = new DocumentReader();
  let document: FlowDocument;
  try {
    yield* measuring(value);
    document = yield* reader.flow(value, []);
  } catch (cause) {
    // a value in memory may throw where it is read (a getter, a revoked proxy)
    if (TesseraError.is(cause)) throw cause;
    throw new TesseraError("BAD_DOCUMENT", "the value cannot be read", { cause });
  }
  reader.refuse();
  return document;
}

/** How a record is read: what its keys are, and what its members. */
interface RecordReader<T> {
  readonly key: z.ZodType<string>;
  isKey(key: string): boolean;
  read(member: unknown, path: Path): Sliced<T>;
}

/**
 * What is right is read by hand, in a time that is linear in its size; what is not is shown to the schema, piece by piece,
 * which says what is wrong with it.
 */
class DocumentReader {
  private readonly faults: Fault[] = [];
  /** Pieces that are wrong beyond those that are told. */
  private more = 0;

  /** @throws TesseraError BAD_DOCUMENT with a finding for each fault, if there is any */
  refuse(): void {
    if (this.faults.length === 0) return;
    const findings = this.faults
      .slice(0, limits.findings)
      .map(({ path, message }) => new TesseraError("BAD_DOCUMENT", message, { path: path.join(".") || "document" }));
    const left = this.faults.length - findings.length + this.more;
    const { path, message } = findings[0]!;
    throw new TesseraError(
      "BAD_DOCUMENT",
      `not a flow document: ${path}: ${message}${left > 0 ? ` (and ${left} more than are listed)` : ""}`,
      { findings, hint: "a flow has version, name, input, nodes and output" },
    );
  }

  /** What the schema makes of a piece, or says is wrong with it; what is returned then is not used. */
  private ask<T>(how: z.ZodType<T>, piece: unknown, path: Path, placed: (path: string[]) => string[] = same): T {
    if (this.faults.length >= limits.findings) {
      this.more++;
      return piece as T;
    }
    const parsed = how.safeParse(piece);
    if (parsed.success) return parsed.data;
    for (const { path: inner, message } of faultsOf(parsed.error.issues as Issue[], []))
      this.faults.push({ path: [...path, ...placed(inner)], message });
    return piece as T;
  }

  *flow(value: unknown, path: Path): Sliced<FlowDocument> {
    if (!isPlain(value)) return this.ask(schema.flowDocument, value, path);
    // without its parts, which are read one by one
    const shell: Row = { ...value };
    for (const key of ["input", "nodes", "output"]) if (isPlain(value[key])) shell[key] = {};
    const { input, nodes, output, serve } = value;
    const constants = isPlain(serve) && isPlain(serve.with) ? serve.with : undefined;
    if (constants) shell.serve = { ...(serve as Row), with: {} };
    const document = { ...this.ask(schema.flowDocument, shell, path) };
    if (isPlain(input)) document.input = yield* this.record(input, [...path, "input"], this.types);
    if (isPlain(nodes)) document.nodes = yield* this.record(nodes, [...path, "nodes"], this.nodes);
    if (isPlain(output)) document.output = yield* this.record(output, [...path, "output"], this.sources);
    if (constants)
      document.serve = {
        ...document.serve,
        with: yield* this.record(constants, [...path, "serve", "with"], this.constants),
      };
    return document;
  }

  private *record<T>(record: Row, path: Path, reader: RecordReader<T>): Sliced<Record<string, T>> {
    const result: Record<string, T> = {};
    let read = 0;
    for (const key of Object.keys(record)) {
      if (reader.isKey(key)) result[key] = yield* reader.read(record[key], [...path, key]);
      else this.ask(z.record(reader.key, z.unknown()), { [key]: null }, path);
      if (++read % 64 === 0) yield;
    }
    return result;
  }

  private readonly types: RecordReader<FlowDocument["input"][string]> = {
    key: schema.name,
    isKey: isName,
    read: (value, path) =>
      this.part(readType(value, new ValueAllowance(limits.type, path)), schema.portType, value, path),
  };
  private readonly constants: RecordReader<Json> = {
    key: schema.name,
    isKey: isName,
    read: (value, path) => this.part(readJson(value, new ValueAllowance(limits.part, path)), z.json(), value, path),
  };
  private readonly conditions: RecordReader<Json> = { ...this.constants, key: schema.reference, isKey: isReference };
  private readonly sources: RecordReader<Source> = {
    key: schema.name,
    isKey: isName,
    read: (value, path) => this.source(value, path),
  };
  private readonly nodes: RecordReader<NodeDocument> = {
    key: schema.nodeId,
    isKey: (key) => isName(key) && key !== "input",
    read: (value, path) => this.node(value, path),
  };

  // biome-ignore lint/correctness/useYield: small enough for one slice
  private *part<T>(read: Read<T>, how: z.ZodType<T>, value: unknown, path: Path): Sliced<T> {
    return read === unsure ? this.ask(how, value, path) : read;
  }

  private *node(value: unknown, path: Path): Sliced<NodeDocument> {
    if (!isPlain(value)) return this.ask(schema.nodeDocument, value, path);
    const { run, in: wires, when } = value;
    const shell: Row = { ...value };
    if (isPlain(run)) shell.run = "flow";
    if (isPlain(wires)) shell.in = {};
    if (isPlain(when)) shell.when = {};
    const config = Object.hasOwn(value, "with")
      ? readJson(value.with, new ValueAllowance(limits.part, [...path, "with"]))
      : unsure;
    if (config !== unsure) shell.with = null;
    const node = isSimple(shell) ? shell : { ...this.ask(schema.nodeDocument, shell, path) };
    if (isPlain(run)) node.run = yield* this.inner(run, [...path, "run"]);
    if (config !== unsure) node.with = config;
    if (isPlain(wires)) node.in = yield* this.record(wires, [...path, "in"], this.sources);
    if (isPlain(when)) node.when = yield* this.record(when, [...path, "when"], this.conditions);
    return node as unknown as NodeDocument;
  }

  /** A flow where the name of an operator might stand as well. */
  private *inner(value: Row, path: Path): Sliced<FlowDocument> {
    const before = this.faults.length;
    const flow = yield* this.flow(value, path);
    const own = this.faults.slice(before);
    if (own.length > 0 && own.every((fault) => fault.path.length === path.length))
      this.faults.splice(before, own.length, { path, message: takenByNone });
    return flow;
  }

  private *source(value: unknown, path: Path): Sliced<Source> {
    const room = new ValueAllowance(limits.part, path);
    const read = readSource(value, room);
    if (read !== unsure) return read;
    if (Array.isArray(value)) {
      const { list, places } = this.wrong(value, readReference);
      return this.ask(schema.source, list, path, ([at, ...inner]) => (at === undefined ? [] : [places(at), ...inner]));
    }
    if (!isPlain(value)) return this.ask(schema.source, value, path);
    const piece: Row = {};
    let places = (at: string) => at;
    for (const [key, member] of Object.entries(value))
      if (key === "first" && Array.isArray(member)) {
        const wrong = this.wrong(member, (one) => readMember(one, new ValueAllowance(limits.part, path)));
        piece[key] = wrong.list;
        places = wrong.places;
      } else if (key === "named" && isPlain(member)) piece[key] = this.wrongMembers(member);
      else piece[key] = key === "value" && readJson(member, room) !== unsure ? null : member;
    return this.ask(schema.source, piece, path, ([key, at, ...inner]) =>
      key === "first" && at !== undefined ? [key, places(at), ...inner] : [key, at, ...inner].filter(isText),
    );
  }

  /** The members of a list that are wrong, as many as can be told, or the first where none is; and where each stood. */
  private wrong(list: readonly unknown[], read: (member: unknown) => Read<unknown>) {
    const told = this.told([...list.keys()].filter((at) => read(list[at]) === unsure));
    const indexes = told.length === 0 ? [...list.keys()].slice(0, 1) : told;
    return { list: indexes.map((at) => list[at]), places: (at: string) => String(indexes[Number(at)]) };
  }

  private wrongMembers(row: Row): Row {
    const told = this.told(Object.keys(row).filter((key) => !isName(key) || !isReference(row[key])));
    return Object.fromEntries(told.map((key) => [key, row[key]]));
  }

  private told<T>(wrong: readonly T[]): readonly T[] {
    const told = wrong.slice(0, Math.max(1, limits.findings - this.faults.length));
    this.more += wrong.length - told.length;
    return told;
  }
}

const same = (path: string[]): string[] => path;
const isText = (part: string | undefined): part is string => part !== undefined;

/** Whether nothing is left of a node that only the schema can judge: its wires, conditions and config are read apart. */
const isSimple = ({ run, in: wires, when = {}, with: config = null, ...rest }: Row): boolean =>
  Object.keys(rest).length === 0 && typeof run === "string" && isPlain(wires) && isPlain(when) && config === null;

interface Issue {
  code: string;
  path: PropertyKey[];
  message: string;
  errors?: Issue[][];
  keys?: string[];
  issues?: Issue[];
}

/** Zod hides what is wrong inside a union; the alternative that came furthest says it. */
function faultsOf(list: readonly Issue[], prefix: readonly string[]): { path: string[]; message: string }[] {
  return list.flatMap((issue) => {
    const path = [...prefix, ...issue.path.map(String)];
    if (issue.code === "invalid_union" && issue.errors?.length) {
      const deepest = issue.errors.reduce((best, next) => (depthOf(next) > depthOf(best) ? next : best));
      if (depthOf(deepest) > 0) return faultsOf(deepest, path);
    }
    const inner = issue.code === "invalid_key" ? issue.issues?.[0]?.message : undefined;
    return [{ path, message: inner ?? issue.message }];
  });
}

const depthOf = (list: readonly Issue[]): number =>
  list.reduce((deepest, { path }) => Math.max(deepest, path.length), 0);

const tooLarge = (message: string) => new TesseraError("DOCUMENT_TOO_LARGE", message);

/** Refuses what is nested too deeply, is too large, or has a key that would set a prototype; walks without recursion. */
function* measuring(value: unknown): Sliced<void> {
  const stack: { value: unknown; nesting: number; depth: number }[] = [{ value, nesting: 0, depth: 0 }];
  const seen = new Set<unknown>();
  let nodes = 0;
  let values = 0;
  for (let next = stack.pop(), visits = 1; next; next = stack.pop(), visits++) {
    if (visits % 500 === 0) yield;
    const { value: one, nesting, depth } = next;
    if (typeof one !== "object" || one === null) continue;
    if (nesting > limits.nesting || depth > limits.depth)
      throw tooLarge(`flows may be nested ${limits.depth} deep, values ${limits.nesting}`);
    if (seen.has(one) && nesting > limits.nesting / 2)
      throw new TesseraError("BAD_DOCUMENT", "the value refers to itself, or holds the same part many times over");
    seen.add(one);
    const members = membersOf(one);
    values += members.length;
    if (values > limits.values) throw tooLarge(`a document may hold ${limits.values} values`);
    const isFlow = Object.hasOwn(one, "nodes") && Object.hasOwn(one, "version");
    const own = isFlow ? (one as Row).nodes : undefined;
    if (typeof own === "object" && own !== null) nodes += Object.keys(own).length;
    if (nodes > limits.nodes) throw tooLarge(`a document may hold ${limits.nodes} nodes`);
    for (const member of members)
      if (typeof member === "object" && member !== null)
        stack.push({ value: member, nesting: nesting + 1, depth: depth + (isFlow ? 1 : 0) });
  }
}

function membersOf(value: object): readonly unknown[] {
  const size = Array.isArray(value) ? value.length : undefined;
  const keys = size === undefined ? Object.keys(value) : [];
  if ((size ?? keys.length) > limits.members) throw tooLarge(`one list or object may hold ${limits.members} values`);
  if (keys.includes("__proto__")) throw new TesseraError("BAD_DOCUMENT", 'a document may not use the key "__proto__"');
  return Array.isArray(value) ? value : keys.map((key) => (value as Row)[key]);
}
