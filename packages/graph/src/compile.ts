// public: CompileOptions, CheckedFlow, checkFlow, compile
// internal: findingLines
import {
  type AnyOperator,
  type Cache,
  type Clock,
  type FlowDocument,
  type Host,
  type PortType,
  type Records,
  type Resource,
  type Source,
  TesseraError,
} from "@tessera/core";
import {
  atOnce,
  effectsOf,
  elementOf,
  fit,
  hashing,
  inSlices,
  listOf,
  messageOf,
  readingDocument,
  readsOf,
  type Sliced,
  schemaOf,
  splitReference,
} from "@tessera/core/internal";
import type { z } from "zod";
import { Asking } from "./asking.js";
import { attemptsBody } from "./attempts.js";
import { none, operatorBound } from "./bounds.js";
import { Checker, tableOf } from "./check.js";
import { CompiledFlow } from "./compiled.js";
import { visitLimit } from "./decisions.js";
import { eachBody } from "./each.js";
import { boundOf } from "./flow-bound.js";
import { guardedCache, guardedRecords, isInherited, located, misfit, tell } from "./foreign.js";
import { flowBody } from "./frame.js";
import { type Notice, noticesOf } from "./notices.js";
import type { Observer } from "./observer.js";
import type { FlowBound, FlowPlan, NodePlan, OperatorBody, PlannedPorts } from "./plan.js";
import type { Body, FlowProgram, NodeProgram, OperatorProgram, SourceProgram, Wire } from "./program.js";
import { repeatBody } from "./repeat.js";
import { operatorBody } from "./step.js";
import { signalFindings } from "./waits/signals.js";

/** What a flow is compiled with. */
export interface CompileOptions {
  readonly operators: readonly AnyOperator[];
  readonly host?: Host | undefined;
  /** Stores the steps of runs, so that runs can be resumed, replayed, and repeated with changes (`whatIf`). */
  readonly records?: Records | undefined;
  /** Returns results of earlier runs in place of a step. An operator that writes is never served from it. */
  readonly cache?: Cache | undefined;
  /** Whether every value is checked against its port; by default only values on wires between unequal types are. */
  readonly validate?: boolean | undefined;
  /** The clock of timeouts and pauses; by default that of the system. */
  readonly clock?: Clock | undefined;
  /** Receives every run and its events. */
  readonly observer?: Observer | undefined;
}

/** A checked document: its plan and findings. No resource is opened for it. */
export interface CheckedFlow {
  readonly document: FlowDocument;
  readonly hash: string;
  readonly plan: FlowPlan;
  readonly bound: FlowBound;
  readonly findings: readonly TesseraError[];
  /** What is allowed, but may surprise the author of the flow. */
  readonly notices: readonly Notice[];
}

/**
 * Checks a document without opening anything: names, ports, types of wires, config, loops, unused nodes, outputs that
 * could have no value, and bounds.
 * @throws TesseraError BAD_DOCUMENT or DOCUMENT_TOO_LARGE if the value is no flow document at all. Other faults are
 * findings of the result.
 */
export function checkFlow(value: unknown, operators: readonly AnyOperator[]): CheckedFlow {
  return atOnce(checking(value, operators));
}

/** As `checkFlow`, in slices. */
function* checking(value: unknown, operators: readonly AnyOperator[]): Sliced<CheckedFlow> {
  const document = yield* readingDocument(value);
  const checker = new Checker(tableOf(operators));
  const plan = yield* checker.flow(document, document.name);
  const findings = [...checker.findings, ...signalFindings(plan)];
  return {
    document,
    hash: yield* hashing(document),
    plan,
    bound: findings.length === 0 ? yield* boundOf(plan, { left: visitLimit }) : none,
    findings,
    notices: findings.length === 0 ? noticesOf(plan) : [],
  };
}

const noResources: Host = {
  resource: (kind, name) =>
    Promise.reject(
      new TesseraError("UNKNOWN_RESOURCE", `no ${kind} "${name}": no host was given`, { path: `${kind}/${name}` }),
    ),
};

/**
 * Checks a document, opens the resources that it names, and makes it ready to run.
 * @throws TesseraError INVALID_FLOW with every finding; BAD_DOCUMENT, DOCUMENT_TOO_LARGE.
 */
export async function compile(value: unknown, options: CompileOptions): Promise<CompiledFlow> {
  const checked = await inSlices(checking(value, options.operators));
  const findings = [...checked.findings];
  const writes = new Set<string>();
  const resources = new Set<string>();
  const prompts = new Map<string, string>();
  const host = watchedBy(options.observer, options.host ?? noResources);
  const works = await setUp(checked.plan, { host, findings, writes, resources, prompts });
  refuse(checked.document, findings);
  const built = await inSlices(program(checked.plan, works));
  const asked = { writes: [...writes], resources: [...resources], prompts: Object.fromEntries(prompts) };
  return new CompiledFlow({ ...checked, ...asked }, built, guarded(options));
}

/** Ready to replay runs from their records; nothing is opened, and nothing else can run. */
export function compileReplay(value: unknown, options: Omit<CompileOptions, "host">): CompiledFlow {
  const checked = checkFlow(value, options.operators);
  refuse(checked.document, checked.findings);
  const missing: Prepared = {
    asking: undefined,
    work: () => {
      throw new TesseraError("RECORD_MISSING", "nothing but records was opened for this flow");
    },
    resources: [],
  };
  return new CompiledFlow(checked, atOnce(program(checked.plan, { get: () => missing })), guarded(options));
}

const guarded = <T extends Pick<CompileOptions, "records" | "cache">>(options: T): T => ({
  ...options,
  records: options.records && guardedRecords(options.records),
  cache: options.cache && guardedCache(options.cache),
});

/** A resource of a host, or what is used where it has none. */
async function orElse<T extends Resource>(host: Host, kind: string, name: string, otherwise?: T): Promise<T> {
  try {
    return await host.resource<T>(kind, name, otherwise);
  } catch (error) {
    const isMissing = TesseraError.is(error) && error.code === "UNKNOWN_RESOURCE" && error.path === `${kind}/${name}`;
    if (otherwise === undefined || !isMissing) throw error;
    return otherwise;
  }
}

/** A host whose resources the observer watches. */
const watchedBy = (observer: Observer | undefined, host: Host): Host =>
  observer?.resource
    ? {
        resource: async <T extends Resource>(kind: string, name: string, otherwise?: T) => {
          const resource = await orElse(host, kind, name, otherwise);
          return resource === otherwise ? resource : watchedResource(observer, kind, name, resource);
        },
      }
    : host;

/** A resource as an observer wants it; as it is, where the observer fails. */
const watchedResource = <T extends Resource>(observer: Observer, kind: string, name: string, resource: T): T =>
  tell("an observer", () => observer.resource!<T>(kind, name, resource)) ?? resource;

const linesTold = 100;

/** Findings as lines of a message: the first hundred. */
export function findingLines(findings: readonly TesseraError[]): string {
  const lines = findings
    .slice(0, linesTold)
    .map(({ code, path, message, hint }) => `${code} at ${path}: ${message}${hint ? ` (${hint})` : ""}`);
  if (findings.length > linesTold) lines.push(`… and ${findings.length - linesTold} more`);
  return lines.join("\n");
}

function refuse(document: FlowDocument, findings: readonly TesseraError[]): void {
  if (findings.length === 0) return;
  const lines = findingLines(findings);
  throw new TesseraError("INVALID_FLOW", `"${document.name}" has ${findings.length} finding(s):\n${lines}`, {
    path: document.name,
    findings,
  });
}

interface Prepared {
  readonly work: OperatorProgram["work"];
  readonly resources: readonly Resource[];
  readonly asking: Asking | undefined;
}
type Works = { get(node: NodePlan): Prepared | undefined };

interface SetUpSettings {
  readonly host: Host;
  /** Where what is wrong goes. */
  readonly findings: TesseraError[];
  /** Where the resources go that operators of effect "write" ask for, as "store/docs". */
  readonly writes: Set<string>;
  /** Where the resources go that any operator asks for. */
  readonly resources: Set<string>;
  /** Where the prompts go that operators send, by name: name, version and hash of the text. */
  readonly prompts: Map<string, string>;
}

/** How many operators begin to be set up before the event loop has a turn. */
const setUpAtOnce = 50;

/** Sets every operator up; nodes that run the same operator with the same config share nothing but resources. */
async function setUp(plan: FlowPlan, settings: SetUpSettings): Promise<Works> {
  const works = new Map<NodePlan, Prepared>();
  const under: Promise<void>[] = [];
  const begin = async (node: NodePlan, body: OperatorBody) => {
    const prepared = await prepare(body, node.path, settings);
    if (prepared) works.set(node, prepared);
  };
  function* visit({ nodes }: FlowPlan): Sliced<void> {
    for (const node of nodes)
      if (node.body.kind === "flow") yield* visit(node.body);
      else {
        under.push(begin(node, node.body));
        if (under.length % setUpAtOnce === 0) yield;
      }
  }
  await inSlices(visit(plan));
  await Promise.all(under);
  return works;
}

async function prepare(
  { operator, config }: OperatorBody,
  path: string,
  { host, findings, writes, resources: asked, prompts }: SetUpSettings,
): Promise<Prepared | undefined> {
  const resources: Resource[] = [];
  const asking = operator.bound && new Asking();
  let usesModel = false;
  const watched: Host = {
    async resource<T extends Resource>(kind: string, name: string, otherwise?: T): Promise<T> {
      if (kind === "model") usesModel = true;
      if (effectsOf(operator, config) === "write") writes.add(`${kind}/${name}`);
      const resource = await orElse(host, kind, name, otherwise);
      if (resource !== otherwise) asked.add(`${kind}/${name}`);
      if (kind === "prompt") prompts.set(name, resource.revision);
      resources.push(resource);
      return asking?.watch(kind, resource) ?? resource;
    },
  };
  try {
    const work = await operator.setup(config, watched);
    if (usesModel && !operator.bound)
      findings.push(
        new TesseraError("UNBOUNDED", `${operator.name} uses a language model and declares no bound`, {
          path,
          hint: "declare `bound` on the operator",
        }),
      );
    return { work, resources, asking };
  } catch (thrown) {
    findings.push(
      TesseraError.is(thrown)
        ? located(thrown, path)
        : new TesseraError("SETUP_FAILED", `${operator.name} could not be set up: ${messageOf(thrown)}`, {
            path,
            cause: thrown,
          }),
    );
    return undefined;
  }
}

/** The slots of a program: a number for each `node.port` that is read or written. */
class Slots {
  readonly #known = new Map<string, number>();

  get size(): number {
    return this.#known.size;
  }

  of(reference: string): number {
    const known = this.#known.get(reference);
    if (known !== undefined) return known;
    this.#known.set(reference, this.#known.size);
    return this.#known.size - 1;
  }

  source(source: Source): SourceProgram {
    if (typeof source === "string") return { kind: "slot", slot: this.of(source) };
    if (Array.isArray(source)) return { kind: "list", slots: source.map((one) => this.of(one)) };
    if ("named" in source) {
      const slots = Object.values(source.named).map((one) => this.of(one));
      return { kind: "named", names: Object.keys(source.named), slots };
    }
    if ("value" in source) return { kind: "value", value: source.value };
    const members = source.first.map((one) => (typeof one === "string" ? { slot: this.of(one) } : one));
    return { kind: "first", members };
  }
}

/** Turns a plan into what the scheduler runs: names become slots. */
function* program(plan: FlowPlan, works: Works): Sliced<FlowProgram> {
  const slots = new Slots();
  const input = [...plan.input].map(([port, { type, optional }]) => ({
    port,
    slot: slots.of(`input.${port}`),
    optional,
    type,
    check: schemaOf(type),
  }));
  const nodes = yield* nodePrograms(plan, works, slots);
  return {
    name: plan.document.name,
    input,
    nodes,
    waits: nodes.map(({ waits }) => waits),
    roots: nodes.filter(({ waits }) => waits === 0).map(({ index }) => index),
    output: [...plan.output].map(([port, { source }]) => ({
      port,
      source: slots.source(source),
      inherited: isInherited(port),
    })),
    firsts: [...plan.output].flatMap(([output, { source }]) => {
      const members = firstMembers(source);
      return members ? [{ output, slots: members.map((member) => slots.of(member)) }] : [];
    }),
    slots: slots.size,
  };
}

/** By node, the indexes of the nodes that it reads. */
function* readsByNode(plan: FlowPlan): Sliced<number[][]> {
  const indexes = new Map(plan.nodes.map(({ id }, index) => [id, index]));
  const reads: number[][] = [];
  for (const { document } of plan.nodes) {
    const read = new Set(readsOf(document).map((reference) => splitReference(reference)[0]));
    read.delete("input");
    reads.push([...read].map((id) => indexes.get(id)!));
    yield;
  }
  return reads;
}

function* nodePrograms(plan: FlowPlan, works: Works, slots: Slots): Sliced<NodeProgram[]> {
  const types = new Map<string, PortType>();
  for (const [port, { type }] of plan.input) types.set(`input.${port}`, type);
  for (const { id, gives } of plan.nodes) for (const [port, { type }] of gives) types.set(`${id}.${port}`, type);
  const reads = yield* readsByNode(plan);
  const readers: number[][] = plan.nodes.map(() => []);
  for (const [index, read] of reads.entries()) for (const other of read) readers[other]!.push(index);

  const streams = streamsOf(plan);
  const nodes: NodeProgram[] = [];
  for (const [index, node] of plan.nodes.entries()) {
    const { document } = node;
    nodes.push({
      index,
      id: node.id,
      suffix: `/${node.id}`,
      guards: Object.entries(document.when ?? {}).map(([reference, wanted]) => ({
        slot: slots.of(reference),
        allowed: Array.isArray(wanted) ? wanted : [wanted],
      })),
      wires: wiresOf(node, slots, types),
      waits: reads[index]!.length,
      readers: readers[index]!,
      outputs: [...node.gives.keys()].map((port) => ({ port, slot: slots.of(`${node.id}.${port}`) })),
      body: yield* bodyOf(node, works),
      streams: streams(node),
    });
    yield;
  }
  return nodes;
}

const wiresOf = (node: NodePlan, slots: Slots, types: ReadonlyMap<string, PortType>): Wire[] =>
  [...Object.entries(node.document.in), ...unfed(node)].map(([port, source]): Wire => {
    const { type, optional } = node.input.get(port)!;
    const isOver = node.document.each?.over === port;
    return {
      port,
      source: slots.source(source),
      optional,
      inherited: isInherited(port),
      check: needsCheck(source, isOver ? listOf(type) : type, types) ? schemaOfPort(node, port, isOver) : undefined,
    };
  });

/** Ports that nothing feeds, and that every object has: a row must say that they are empty. */
const unfed = ({ input, document }: NodePlan): [string, Source][] =>
  [...input.keys()].flatMap((port) =>
    isInherited(port) && !Object.hasOwn(document.in, port) ? [[port, { first: [] }]] : [],
  );

/** The references of a `first`, in order. */
const firstMembers = (source: Source): string[] | undefined =>
  typeof source === "object" && "first" in source ? source.first.filter((one) => typeof one === "string") : undefined;

/** Which flow outputs a node's parts can be streamed into; lists of `each` cannot. */
function streamsOf(plan: FlowPlan): (node: NodePlan) => NodeProgram["streams"] {
  const targets = new Map<string, { output: string; member?: number }[]>();
  const add = (reference: string, target: { output: string; member?: number }) => {
    const known = targets.get(reference);
    if (!known) targets.set(reference, [target]);
    else if (known.at(-1)!.output !== target.output) known.push(target); // of a `first` that names it twice, the first
  };
  for (const [output, { source }] of plan.output)
    if (typeof source === "string") add(source, { output });
    else for (const [member, reference] of (firstMembers(source) ?? []).entries()) add(reference, { output, member });
  return (node) =>
    node.document.each
      ? []
      : [...node.output.keys()].flatMap((port) =>
          (targets.get(`${node.id}.${port}`) ?? []).map((target) => ({ port, ...target })),
        );
}

/** Whether some value on the wire could fail to fit its port. */
function needsCheck(source: Source, target: PortType, types: ReadonlyMap<string, PortType>): boolean {
  const unequal = (reference: string, wanted: PortType) => fit(types.get(reference)!, wanted) !== "equal";
  if (typeof source === "string") return unequal(source, target);
  if (Array.isArray(source)) return source.some((reference) => unequal(reference, elementOf(target) ?? "any"));
  if ("named" in source)
    return (
      target !== "any" &&
      (typeof target !== "object" ||
        !("named" in target) ||
        Object.values(source.named).some((reference) => unequal(reference, target.named)))
    );
  if ("value" in source) return false;
  return source.first.some((member) => typeof member === "string" && unequal(member, target));
}

/** The schema that the operator itself declares, which can say more than a port type. */
function schemaOfPort({ body, input }: NodePlan, port: string, list: boolean): z.ZodType {
  if (body.kind === "flow") return schemaOf(list ? listOf(input.get(port)!.type) : input.get(port)!.type);
  const schema = body.ports.input[port]!;
  return list ? schema.array() : schema;
}

/** What a node runs: its operator or flow, inside its policy, inside its `each` or `repeat`. */
function* bodyOf(node: NodePlan, works: Works): Sliced<Body> {
  const { document } = node;
  let body: Body =
    node.body.kind === "flow"
      ? flowBody(yield* program(node.body, works))
      : operatorBody(operatorProgram(node.body, works.get(node)!));
  if (document.policy) body = attemptsBody({ ...document.policy, composed: node.body.kind === "flow" }, body);
  if (document.each) return eachBody({ ...document.each, ports: [...node.output.keys()] }, body);
  if (document.repeat) {
    const { until = [], carry } = document.repeat;
    return repeatBody(
      {
        ...document.repeat,
        flags: typeof until === "string" ? [until] : until,
        checks: carriedChecks(carry, node.output, node),
        counts: node.input.has("turn") && !Object.hasOwn(document.in, "turn"),
      },
      body,
    );
  }
  return body;
}

function carriedChecks(carry: Record<string, string>, output: PlannedPorts, node: NodePlan): Map<string, z.ZodType> {
  return new Map(
    Object.entries(carry)
      .filter(
        ([to, from]) => fit(output.get(from)!.type, node.input.get(to)!.type) !== "equal" || output.get(from)!.optional,
      )
      .map(([to]) => [to, schemaOfPort(node, to, false)]),
  );
}

function operatorProgram(body: OperatorBody, { work, resources, asking }: Prepared): OperatorProgram {
  const { operator, config, ports } = body;
  return {
    name: operator.name,
    version: operator.version,
    config,
    effects: effectsOf(operator, config),
    bound: operatorBound(operator, config),
    asking,
    waits: operator.waits !== undefined,
    work,
    inputs: Object.entries(ports.input).map(([port, schema]) => ({ port, schema })),
    outputs: Object.entries(ports.output).map(([port, schema]) => ({
      port,
      schema,
      optional: !misfit(schema, undefined),
      inherited: isInherited(port),
    })),
    revisions: () => resources.map(({ revision }) => revision),
  };
}
