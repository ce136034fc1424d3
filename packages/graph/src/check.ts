import {
  type AnyOperator,
  type ErrorCode,
  type FlowDocument,
  type Json,
  type NodeDocument,
  type Ports,
  type PortType,
  type Source,
  TesseraError,
} from "@tessera/core";
import type { Sliced } from "@tessera/core/internal";
import {
  didYouMean,
  effectsOf,
  elementOf,
  fit,
  isOptional,
  limits,
  listOf,
  messageOf,
  portTypeOf,
  readsOf,
  referencesOf,
  required,
  schemaOf,
  show,
  splitReference,
  valuesOf,
} from "@tessera/core/internal";
import { z } from "zod";
import { operatorBound } from "./bounds.js";
import { checkOutputs, visitLimit } from "./decisions.js";
import type { Visits } from "./diagram.js";
import { misfit } from "./foreign.js";
import type { FlowPlan, NodePlan, OperatorBody, PlannedPort, PlannedPorts } from "./plan.js";

/** More than the nodes of a document, so that each can have one. */
const mostFindings = 2 * limits.nodes;

type OperatorTable = ReadonlyMap<string, AnyOperator>;

/**
 * The operators by name.
 * @throws TesseraError BAD_OPERATOR where two have one name.
 */
export function tableOf(operators: readonly AnyOperator[]): OperatorTable {
  const table = new Map<string, AnyOperator>();
  for (const operator of operators) {
    const known = table.get(operator.name);
    if (known && known !== operator)
      throw new TesseraError("BAD_OPERATOR", `two operators are named "${operator.name}"`, { path: operator.name });
    table.set(operator.name, operator);
  }
  return table;
}

/** Checks a whole document against the operators. Findings are collected, never thrown one by one. */
export class Checker {
  readonly findings: TesseraError[] = [];
  /** How many there are, with those that are more than are listed. */
  private found = 0;
  private readonly visits: Visits = { left: visitLimit };
  private compared = 0;
  private readonly decided = new Map<PortType, ReadonlySet<unknown>>();

  constructor(private readonly table: OperatorTable) {}

  /** Only the first findings are worth the search for a similar name: nobody reads a thousand hints. */
  private similar(name: string, known: Iterable<string>): string | undefined {
    if (this.findings.length >= 100 || this.compared > 100_000) return undefined;
    const names = [...known];
    this.compared += names.length;
    return didYouMean(name, names);
  }

  private find(code: ErrorCode, path: string, message: string, hint?: string, cause?: unknown): void {
    this.add(() => new TesseraError(code, message, { path, hint, cause }));
  }

  /** Lists a finding, where it is one of the first. */
  private add(finding: () => TesseraError): void {
    this.found++;
    if (this.findings.length < mostFindings) this.findings.push(finding());
  }

  *flow(document: FlowDocument, path: string): Sliced<FlowPlan> {
    const before = this.found;
    const input = new Map(
      Object.entries(document.input).map(([name, type]) => [
        name,
        { type: required(type), optional: isOptional(type) },
      ]),
    );
    const plans = new Map<string, NodePlan>();
    const given = (reference: string): PlannedPort | undefined => {
      const [id, port] = splitReference(reference);
      return (id === "input" ? input : plans.get(id)?.gives)?.get(port);
    };
    for (const [id, node] of yield* this.order(document, path)) {
      const plan = yield* this.node(id, node, `${path}/${id}`, given);
      if (plan) plans.set(id, plan);
      yield;
    }
    const nodes = [...plans.values()];
    yield* this.references(document, path, input, plans);
    const output = new Map(
      Object.entries(document.output).map(([name, source]) => [name, { source, type: this.typeOf(source, given) }]),
    );
    const plan: FlowPlan = { kind: "flow", document, path, input, nodes, output };
    if (Object.keys(document.output).length === 0) this.find("BAD_DOCUMENT", path, "the flow has no output");
    this.served(document, path);
    const whole = nodes.length === Object.keys(document.nodes).length;
    if (whole && this.found === before) {
      for (const finding of yield* checkOutputs(plan, this.visits)) this.add(() => finding);
      this.unused(plan);
    }
    return plan;
  }

  /** What `serve` names must be there. */
  private served({ serve = {}, input, output }: FlowDocument, path: string): void {
    const named = [serve.query, serve.history, ...Object.keys(serve.with ?? {})];
    const missing = (ports: object, name: string | undefined) => name !== undefined && !Object.hasOwn(ports, name);
    for (const name of named)
      if (missing(input, name))
        this.find(
          "UNKNOWN_PORT",
          `${path}.serve`,
          `the flow has no input "${name}"`,
          this.similar(name!, Object.keys(input)),
        );
    if (missing(output, serve.text))
      this.find(
        "UNKNOWN_PORT",
        `${path}.serve`,
        `the flow has no output "${serve.text}"`,
        this.similar(serve.text!, Object.keys(output)),
      );
  }

  /** Nodes in an order where each comes after all it reads; what stands in a circle is reported and left out. */
  private *order(document: FlowDocument, path: string): Sliced<[string, NodeDocument][]> {
    const nodes = new Map(Object.entries(document.nodes));
    const waiting = new Map<string, number>();
    const readers = new Map<string, string[]>();
    for (const [id, node] of nodes) {
      const read = new Set(readsOf(node).map((reference) => splitReference(reference)[0]));
      read.delete("input");
      for (const other of read) if (!nodes.has(other)) read.delete(other);
      waiting.set(id, read.size);
      for (const other of read) push(readers, other, id);
      yield;
    }
    const ready = [...nodes.keys()].filter((id) => waiting.get(id) === 0);
    for (let at = 0; at < ready.length; at++)
      for (const reader of readers.get(ready[at]!) ?? []) {
        waiting.set(reader, waiting.get(reader)! - 1);
        if (waiting.get(reader) === 0) ready.push(reader);
      }
    if (ready.length < nodes.size) {
      const placed = new Set(ready);
      const stuck = [...nodes.keys()].filter((id) => !placed.has(id));
      this.find(
        "CYCLE",
        `${path}/${stuck[0]}`,
        `nodes read each other in a circle: ${stuck.slice(0, 8).join(", ")}`,
        "a loop is written as `repeat` on a node",
      );
    }
    return ready.map((id) => [id, nodes.get(id)!]);
  }

  private *node(
    id: string,
    node: NodeDocument,
    path: string,
    given: (reference: string) => PlannedPort | undefined,
  ): Sliced<NodePlan | undefined> {
    const body =
      typeof node.run === "string" ? this.operator(node.run, node.with, path) : yield* this.flow(node.run, path);
    if (!body) return undefined;
    if (body.kind === "flow" && node.with !== undefined)
      this.find("BAD_CONFIG", path, "a flow takes no config", "put constants into `in` as { value }");
    let input: PlannedPorts;
    let output: PlannedPorts;
    if (body.kind === "flow") {
      input = body.input;
      output = new Map([...body.output].map(([name, { type }]) => [name, { type, optional: false }]));
    } else {
      const ports = this.ports(body, path);
      if (!ports) return undefined;
      [input, output] = ports;
    }
    yield* this.wires(node, path, input, given);
    this.conditions(node, path, given);
    if (node.each && node.repeat)
      this.find("BAD_REPEAT", path, "a node has either `each` or `repeat`", "put one of them on a flow around it");
    if (node.repeat) this.repeat(node.repeat, path, input, output);
    const waits = body.kind === "flow" ? body.nodes.some(({ waits }) => waits) : body.operator.waits !== undefined;
    if (waits) this.waiting(node, path, body.kind);
    return {
      id,
      path,
      document: node,
      body,
      input,
      output,
      gives: this.gives(node, output),
      writes:
        body.kind === "flow"
          ? body.nodes.some(({ writes }) => writes)
          : effectsOf(body.operator, body.config) === "write",
      waits,
    };
  }

  /** A policy that cannot hold while a run waits. */
  private waiting({ policy }: NodeDocument, path: string, kind: "operator" | "flow"): void {
    if (policy?.timeoutMs !== undefined)
      this.find(
        "BAD_WAIT",
        path,
        "a node that may wait has a timeout of its policy, which would count the time of the wait",
        "give the wait itself a `timeoutMs`",
      );
    if (kind === "operator" && (policy?.retry?.attempts ?? 1) > 1)
      this.find("BAD_WAIT", path, "a wait is not tried again", "put it into a `repeat` that asks anew");
  }

  private operator(name: string, config: Json | undefined, path: string): OperatorBody | undefined {
    const operator = this.table.get(name);
    if (!operator) {
      this.find("UNKNOWN_OPERATOR", path, `no operator "${name}"`, this.similar(name, this.table.keys()));
      return undefined;
    }
    try {
      const parsed = operator.config.safeParse(config ?? {});
      if (!parsed.success) {
        this.find("BAD_CONFIG", path, `${name}: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, "; ")}`);
        return undefined;
      }
      operatorBound(operator, parsed.data);
      return { kind: "operator", operator, config: parsed.data, ports: portsOf(operator, parsed.data) };
    } catch (cause) {
      this.findThrown("BAD_OPERATOR", path, cause);
      return undefined;
    }
  }

  /** A finding for what foreign code threw: with the code of a `TesseraError`, else the one that is given. */
  private findThrown(code: ErrorCode, path: string, cause: unknown): void {
    const known = TesseraError.is(cause) ? cause : undefined;
    this.find(known?.code ?? code, path, messageOf(cause), known?.hint, cause);
  }

  private ports(body: OperatorBody, path: string): [PlannedPorts, PlannedPorts] | undefined {
    try {
      const { input, output } = body.ports;
      const plan = (ports: Ports): PlannedPorts =>
        new Map(
          Object.entries(ports).map(([name, schema]) => {
            if (name === "__proto__") throw new TesseraError("BAD_OPERATOR", 'no port can be named "__proto__"');
            const type = portTypeOf(schema);
            return [name, { type: required(type), optional: isOptional(type) }];
          }),
        );
      return [plan(input), plan(output)];
    } catch (cause) {
      this.findThrown("BAD_OPERATOR", path, cause);
      return undefined;
    }
  }

  private gives(node: NodeDocument, output: PlannedPorts): PlannedPorts {
    if (node.each) {
      const gaps = node.policy?.onError === "skip";
      return new Map(
        [...output].map(([name, { type, optional }]) => [
          name,
          { type: listOf(optional || gaps ? { optional: type } : type), optional: false },
        ]),
      );
    }
    if (!node.repeat) return output;
    return new Map<string, PlannedPort>([
      ...output,
      ["turns", { type: "number", optional: false }],
      ["stopReason", { type: { choice: ["until", "empty", "max", "budget", "error"] }, optional: false }],
    ]);
  }

  private *wires(
    node: NodeDocument,
    path: string,
    input: PlannedPorts,
    given: (reference: string) => PlannedPort | undefined,
  ): Sliced<void> {
    const automatic = node.repeat && input.has("turn") ? "turn" : undefined;
    for (const [port, { optional }] of input)
      if (!Object.hasOwn(node.in, port) && !optional && port !== automatic)
        this.find("MISSING_INPUT", path, `input "${port}" is not fed`, `it takes ${brief(input.get(port)!.type)}`);
    for (const [port, source] of Object.entries(node.in)) {
      const target = input.get(port);
      if (!target) {
        this.find("UNKNOWN_PORT", path, `there is no input "${port}"`, this.similar(port, input.keys()));
        continue;
      }
      this.wire(source, node.each?.over === port ? listOf(target.type) : target.type, `${path}.${port}`, given);
      yield;
    }
    if (node.each && !input.has(node.each.over))
      this.find("BAD_EACH", path, `there is no input "${node.each.over}"`, this.similar(node.each.over, input.keys()));
    else if (node.each && !Object.hasOwn(node.in, node.each.over))
      this.find("BAD_EACH", path, `nothing feeds "${node.each.over}", which \`each\` goes over`);
  }

  private wire(
    source: Source,
    target: PortType,
    path: string,
    given: (reference: string) => PlannedPort | undefined,
  ): void {
    const member = (reference: string, wanted: PortType): void => {
      const port = given(reference);
      if (port && fit(port.type, wanted) === "mismatch") {
        const gaps = elementOf(port.type);
        const hint =
          gaps && isOptional(gaps)
            ? "elements can be skipped: put list.compact between"
            : elementOf(wanted) && fit(port.type, elementOf(wanted)!) !== "mismatch"
              ? `write a list: ["${reference}"]`
              : undefined;
        this.find(
          "TYPE_MISMATCH",
          path,
          `"${reference}" gives ${brief(port.type)}, the port takes ${brief(wanted)}`,
          hint,
        );
      }
    };
    const constant = (value: Json): void => {
      const problem = misfit(schemaOf(target), value);
      if (problem) this.find("TYPE_MISMATCH", path, `the constant is no ${brief(target)}: ${problem.message}`);
    };
    if (typeof source === "string") member(source, target);
    else if (Array.isArray(source)) {
      const element = elementOf(target);
      if (element === undefined && target !== "any")
        this.find("TYPE_MISMATCH", path, `a list of sources feeds a port that takes ${brief(target)}`);
      else for (const reference of source) member(reference, element ?? "any");
    } else if ("first" in source) {
      for (const one of source.first) typeof one === "string" ? member(one, target) : constant(one.value);
    } else if ("named" in source) {
      const inner = typeof target === "object" && "named" in target ? target.named : "any";
      if (fit({ named: "any" }, target) === "mismatch" && inner === "any")
        this.find("TYPE_MISMATCH", path, `named sources feed a port that takes ${brief(target)}`);
      else for (const reference of Object.values(source.named)) member(reference, inner);
    } else constant(source.value);
  }

  /** The values of a decision as a set, which conditions on the same type share. */
  private possible(type: PortType, values: readonly unknown[]): ReadonlySet<unknown> {
    let known = this.decided.get(type);
    if (!known) {
      known = new Set(values);
      this.decided.set(type, known);
    }
    return known;
  }

  private conditions(node: NodeDocument, path: string, given: (reference: string) => PlannedPort | undefined): void {
    for (const [reference, wanted] of Object.entries(node.when ?? {})) {
      const port = given(reference);
      if (!port) continue; // reported by `references`
      const known = valuesOf(port.type);
      if (!known) {
        this.find("BAD_CONDITION", path, `"${reference}" gives ${brief(port.type)}`, "`when` reads flags and choices");
        continue;
      }
      const values = Array.isArray(wanted) ? wanted : [wanted];
      if (values.length === 0) this.find("BAD_CONDITION", path, `"${reference}" can never be one of no values`);
      const possible = this.possible(port.type, known);
      for (const value of values)
        if (!possible.has(value))
          this.find(
            "BAD_CONDITION",
            path,
            `"${reference}" is never ${JSON.stringify(value)}`,
            typeof value === "string" ? this.similar(value, known.map(String)) : `it is one of ${known.join(", ")}`,
          );
    }
  }

  private repeat(
    { until, while: list, carry }: NonNullable<NodeDocument["repeat"]>,
    path: string,
    input: PlannedPorts,
    output: PlannedPorts,
  ): void {
    const named = (port: string): PortType | undefined => {
      const found = output.get(port);
      if (!found) this.find("BAD_REPEAT", path, `there is no output "${port}"`, this.similar(port, output.keys()));
      return found?.type;
    };
    for (const port of typeof until === "string" ? [until] : (until ?? [])) {
      const type = named(port);
      if (type && type !== "flag") this.find("BAD_REPEAT", path, `\`until\` reads flags; "${port}" is ${brief(type)}`);
    }
    const type = list === undefined ? undefined : named(list);
    if (type && elementOf(type) === undefined)
      this.find("BAD_REPEAT", path, `\`while\` reads a list; "${list}" is ${brief(type)}`);
    for (const [to, from] of Object.entries(carry)) {
      const target = input.get(to);
      const source = named(from);
      if (!target)
        this.find("BAD_REPEAT", path, `there is no input "${to}" to carry into`, this.similar(to, input.keys()));
      else if (source && fit(source, target.type) === "mismatch")
        this.find("BAD_REPEAT", path, `"${from}" is ${brief(source)}, the input "${to}" takes ${brief(target.type)}`);
    }
    const turn = input.get("turn");
    if (turn && fit("number", turn.type) === "mismatch")
      this.find("BAD_REPEAT", path, `the input "turn" is given numbers, and takes ${brief(turn.type)}`);
  }

  /** Sources that name nothing. */
  private *references(
    document: FlowDocument,
    path: string,
    input: PlannedPorts,
    plans: ReadonlyMap<string, NodePlan>,
  ): Sliced<void> {
    const nodes = ["input", ...Object.keys(document.nodes)];
    const check = (reference: string, place: string): void => {
      const [id, port] = splitReference(reference);
      if (id !== "input" && !Object.hasOwn(document.nodes, id))
        this.find("UNKNOWN_NODE", place, `"${reference}" reads "${id}", which is no node`, this.similar(id, nodes));
      const ports = id === "input" ? input : plans.get(id)?.gives;
      if (ports && !ports.has(port))
        this.find("UNKNOWN_PORT", place, `"${id}" has no output "${port}"`, this.similar(port, ports.keys()));
    };
    for (const [id, node] of Object.entries(document.nodes)) {
      yield* inParts(readsOf(node), (reference) => check(reference, `${path}/${id}`));
    }
    for (const [name, source] of Object.entries(document.output)) {
      yield* inParts(referencesOf(source), (reference) => check(reference, `${path}.${name}`));
    }
  }

  /** The type of a source that has no target: that of its members, where they agree. */
  private typeOf(source: Source, given: (reference: string) => PlannedPort | undefined): PortType {
    const agreed = (types: PortType[]): PortType =>
      types.length > 0 && types.every((type) => fit(type, types[0]!) === "equal") ? types[0]! : "any";
    const of = (reference: string): PortType => given(reference)?.type ?? "any";
    if (typeof source === "string") return of(source);
    if (Array.isArray(source)) return listOf(agreed(source.map(of)));
    if ("named" in source) return { named: agreed(Object.values(source.named).map(of)) };
    if ("value" in source) return typeOfConstant(source.value);
    const references = source.first.filter((member) => typeof member === "string");
    const type = agreed(references.map(of));
    const constants = source.first.filter((member) => typeof member !== "string");
    if (references.length === 0) return agreed(constants.map(({ value }) => typeOfConstant(value)));
    const schema = schemaOf(type);
    return constants.every(({ value }) => !misfit(schema, value)) ? type : "any";
  }

  private unused(plan: FlowPlan): void {
    const byId = new Map(plan.nodes.map((node) => [node.id, node]));
    const pending = [
      ...Object.values(plan.document.output)
        .flatMap(referencesOf)
        .map((reference) => splitReference(reference)[0]),
      ...plan.nodes.filter(({ writes }) => writes).map(({ id }) => id),
    ];
    const used = new Set<string>(["input"]);
    while (pending.length > 0) {
      const id = pending.pop()!;
      if (used.has(id)) continue;
      used.add(id);
      for (const reference of readsOf(byId.get(id)!.document)) pending.push(splitReference(reference)[0]);
    }
    for (const { id, path } of plan.nodes)
      if (!used.has(id))
        this.find("UNUSED_NODE", path, "nothing reads this node", "wire it to an output, or remove it");
  }
}

/** A port type in words for a message; thousands of findings may name one that is very long. */
function brief(type: PortType): string {
  const words = show(type);
  return words.length > 300 ? `${words.slice(0, 300)}…` : words;
}

/** Does something for each of a list, in slices. */
function* inParts<T>(list: readonly T[], work: (one: T) => void): Sliced<void> {
  yield;
  for (const [at, one] of list.entries()) {
    work(one);
    if (at % 16 === 15) yield;
  }
}

function typeOfConstant(value: Json): PortType {
  if (typeof value === "string") return "text";
  if (typeof value === "number") return "number";
  return typeof value === "boolean" ? "flag" : "any";
}

/** Calls an operator's `ports` once, so that every reader sees the same. */
function portsOf({ ports }: AnyOperator, config: unknown): OperatorBody["ports"] {
  const { input, output } = typeof ports === "function" ? ports(config) : ports;
  return { input: { ...input }, output: { ...output } };
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
