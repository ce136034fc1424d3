// public: TelemetryOptions, openTelemetry
import { AsyncLocalStorage } from "node:async_hooks";
import { type Context, context, type Span, type Tracer, trace } from "@opentelemetry/api";
import type { FlowDocument, FlowEvent, NodeDocument, TesseraError } from "@tessera/core";
import type { Observation, Observer } from "@tessera/graph";
import type { ObservedRun } from "@tessera/graph/internal";
import {
  type Described,
  describeFlow,
  describeNode,
  describeOutput,
  describeRun,
  describeValue,
  type Place,
} from "./conventions.js";
import { failureOf, type Tracing, watch } from "./resources.js";

/** What the traces of runs contain. */
export interface TelemetryOptions {
  /** The tracer; by default that of the registered provider, named "@tessera/telemetry". */
  readonly tracer?: Tracer;
  /**
   * Whether traces contain texts: inputs and outputs, queries, ids of passages, prompts, answers and messages of
   * errors. False by default. The principal is never in a trace.
   */
  readonly content?: boolean;
}

interface Open {
  readonly span: Span;
  readonly inside: Context;
  readonly operator: string;
  first: boolean;
}

// where a service registers no context manager, calls of models would lose their parents
const steps = new AsyncLocalStorage<Context>();

/** The spans of one run. Each stands at a path, and its parent is the nearest open path above it. */
class TracedRun implements Observation {
  readonly #open = new Map<string, Open>();
  readonly #attempts = new Map<string, number>();
  readonly #outer = steps.getStore() ?? context.active();

  constructor(
    private readonly tracing: Tracing,
    private readonly run: ObservedRun,
  ) {
    run.events.on("event", this.#hear);
  }

  within<T>(path: string, work: () => T): T {
    const inside = this.#open.get(path)?.inside;
    return inside ? steps.run(inside, () => context.with(inside, work)) : work();
  }

  ended(failure?: TesseraError): void {
    this.run.events.off("event", this.#hear);
    const { name } = this.run.document;
    // what was refused before it began is a trace too
    if (failure && !this.#attempts.has(name)) this.#start(name, this.#describeRun(), "");
    for (const path of [...this.#open.keys()].reverse())
      this.#fail(path, path === name && failure ? failure : { code: "ABORTED" });
  }

  #hear = (event: FlowEvent): void => {
    const { path } = event;
    const { content } = this.tracing;
    switch (event.type) {
      case "flow-start": {
        const isRun = path === this.run.document.name;
        this.#start(path, isRun ? this.#describeRun() : describeFlow(event.flow, this.#place(path)), "", event.input);
        break;
      }
      case "node-start":
        this.#start(path, describeNode(event.operator, event.input, this.#place(path)), event.operator, event.input);
        break;
      case "node-delta": {
        const open = this.#open.get(path);
        if (open?.first) open.span.addEvent("first part", { "tessera.port": event.port });
        if (open) open.first = false;
        break;
      }
      case "node-skip":
        this.#above(path)?.span.addEvent("skip", { "tessera.path": path, "tessera.skip.reason": event.reason });
        break;
      case "warning":
        this.#above(`${path}/`)?.span.addEvent("warning", { "tessera.path": path, "tessera.warning": event.message });
        break;
      case "node-error":
        for (const below of [...this.#open.keys()].reverse())
          if (isBelow(below, path)) this.#fail(below, below === path ? event.error : { code: "ABORTED" });
        break;
      case "node-end":
      case "flow-end": {
        const open = this.#open.get(path);
        if (!open) break;
        this.#open.delete(path);
        open.span.setAttributes(describeOutput(open.operator, event.output));
        if (content) open.span.setAttributes(describeValue("output", event.output));
        if (event.type === "flow-end") open.span.setAttribute("tessera.status", event.status);
        else if (event.from) open.span.setAttribute("tessera.from", event.from);
        open.span.end();
      }
    }
  };

  #start(path: string, described: Described, operator: string, input?: unknown): void {
    if (this.#open.has(path)) this.#fail(path, { code: "NODE_FAILED" }); // an attempt that was given up
    const { name, ...options } = described;
    const outer = this.#above(path)?.inside ?? this.#outer;
    const span = this.tracing.tracer.startSpan(name, options, outer);
    if (this.tracing.content && input !== undefined) span.setAttributes(describeValue("input", input));
    this.#attempts.set(path, (this.#attempts.get(path) ?? 0) + 1);
    this.#open.set(path, { span, inside: trace.setSpan(outer, span), operator, first: true });
  }

  #fail(path: string, error: TesseraError | { readonly code: string }): void {
    const open = this.#open.get(path)!;
    this.#open.delete(path);
    const { attributes, status } = failureOf(error, this.tracing.content && "message" in error);
    open.span
      .setAttributes({ ...attributes, "error.type": error.code })
      .setStatus("message" in error ? status : { ...status, message: error.code });
    open.span.end();
  }

  #describeRun(): Described {
    const { document, hash, id } = this.run;
    return describeRun(document.name, hash, id);
  }

  #place(path: string): Place {
    return { path, branch: branchOf(this.run.document, path), attempt: (this.#attempts.get(path) ?? 0) + 1 };
  }

  #above(path: string): Open | undefined {
    for (let at = parentOf(path); at !== undefined; at = parentOf(at)) {
      const open = this.#open.get(at);
      if (open) return open;
    }
    return undefined;
  }
}

/** "a/b[3]" is in "a/b", which is in "a". */
function parentOf(path: string): string | undefined {
  const end = Math.max(path.lastIndexOf("/"), path.lastIndexOf("["), path.lastIndexOf("#"));
  return end > 0 ? path.slice(0, end) : undefined;
}

const isBelow = (path: string, above: string): boolean =>
  path === above || (path.startsWith(above) && "/[#".includes(path[above.length]!));

/** The decisions that the node of a path, or the nearest one around it, waits for. */
function branchOf(document: FlowDocument, path: string): string | undefined {
  let inside: FlowDocument | string = document;
  let branch: string | undefined;
  for (const segment of path.slice(document.name.length + 1).split("/")) {
    const node: NodeDocument | undefined =
      typeof inside === "string" ? undefined : inside.nodes[segment.replace(/(?:\[\d+\]|#\d+)+$/, "")];
    if (!node) break;
    if (node.when)
      branch = Object.entries(node.when)
        .map(([port, wanted]) => `${port}=${Array.isArray(wanted) ? wanted.join("|") : wanted}`)
        .join(",");
    inside = node.run;
  }
  return branch;
}

/**
 * An observer that traces every run: `createTessera({ …, observer: openTelemetry() })`. There is a span for each flow,
 * node, element and turn, and for each call of an encoder, a store or a model; their names are in `conventions.ts`.
 * Your service sets up the OpenTelemetry SDK, which exports the traces.
 */
export function openTelemetry({
  tracer = trace.getTracer("@tessera/telemetry"),
  content = false,
}: TelemetryOptions = {}): Observer {
  const tracing: Tracing = { tracer, content, current: () => steps.getStore() ?? context.active() };
  return {
    run: (run) => new TracedRun(tracing, run),
    resource: (kind, name, resource) => watch(tracing, kind, name, resource),
  };
}
