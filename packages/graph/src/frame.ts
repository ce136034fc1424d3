import { TesseraError } from "@tessera/core";
import { located, misfit } from "./foreign.js";
import { type Feed, FirstGates, type Gate } from "./gates.js";
import {
  type Activation,
  type Activity,
  type FlowProgram,
  type NodeProgram,
  type Row,
  read,
  SKIPPED,
} from "./program.js";
import type { Owner, Run, Startable } from "./run.js";
import type { Scope } from "./scope.js";

/** One activation of a flow: the values of its ports, and how many sources each node still waits for. */
class Frame implements Owner, Startable, Activity {
  private readonly values: unknown[];
  private readonly waiting: number[];
  private left: number;
  private broken = false;
  /** Lists that lack elements, by slot. */
  private partial: Map<number, unknown> | undefined;
  private readonly began: number;
  private readonly gates: readonly FirstGates[];
  private readonly run: Run;
  private readonly scope: Scope;
  private readonly path: string;
  private readonly input: Row;
  private readonly owner: Owner;
  private readonly key: number;
  private readonly feed: Feed | undefined;

  constructor(
    private readonly program: FlowProgram,
    { run, scope, path, input, owner, key, feed }: Activation,
  ) {
    this.run = run;
    this.scope = scope;
    this.path = path;
    this.input = input;
    this.owner = owner;
    this.key = key;
    this.feed = feed;
    this.values = new Array(program.slots);
    this.waiting = program.waits.slice();
    this.left = program.nodes.length;
    this.began = run.events ? run.clock.now() : 0;
    this.gates = feed
      ? program.firsts
          .filter(({ output }) => feed[output])
          .map(({ output, slots }) => new FirstGates(slots, feed[output]!))
      : [];
  }

  start(): void {
    this.enqueue();
    this.run.drain();
  }

  /** Takes the input, and puts the nodes that wait for no other into the queue of the run. */
  enqueue(): void {
    const { program, run, path, input } = this;
    if (run.events) run.emit({ type: "flow-start", path, flow: program.name, input });
    for (const { port, slot } of program.input) this.values[slot] = input[port] === undefined ? SKIPPED : input[port];
    for (const gate of this.gates) gate.update(this.values);
    if (this.left === 0) this.close();
    else for (const index of program.roots) run.ready(this, index);
  }

  startNode(index: number): void {
    if (this.scope.over) return;
    const node = this.program.nodes[index]!;
    const { values, run } = this;
    for (const { slot, allowed } of node.guards)
      if (!allowed.includes(values[slot])) return this.skip(node, values[slot] === SKIPPED ? "source" : "when");
    const input: Row = {};
    for (const { port, source, optional, check, inherited } of node.wires) {
      const value = source.kind === "slot" ? values[source.slot] : read(source, values);
      if (value === SKIPPED) {
        if (!optional) return this.skip(node, "source");
        if (inherited) input[port] = undefined;
        continue;
      }
      if (check !== undefined) {
        const problem = misfit(check, value);
        if (problem) {
          const place = [port, ...problem.place].join(".");
          return this.failed(
            index,
            new TesseraError("BAD_VALUE", `the value for "${place}" does not fit: ${problem.message}`, {
              path: this.path + node.suffix,
              cause: problem.cause,
            }),
          );
        }
      }
      input[port] = value;
    }
    const activity = node.body({
      run,
      scope: this.scope,
      path: this.path + node.suffix,
      input,
      owner: this,
      key: index,
      feed: this.feed && this.feedOf(node),
    });
    activity.start();
  }

  /** Nothing that a node meets throws past it; where the engine itself does, the run ends, and does not hang. */
  startFailed(index: number, thrown: unknown): void {
    this.run.failed(0, located(thrown, this.path + this.program.nodes[index]!.suffix));
  }

  /** The gates that a node's ports stream into. */
  private feedOf(node: NodeProgram): Feed | undefined {
    if (node.streams.length === 0) return undefined;
    const feed: Record<string, Gate> = Object.create(null);
    for (const { port, output, member } of node.streams) {
      const outer = this.feed![output];
      if (!outer) continue;
      const first = member === undefined ? undefined : this.gates[this.firstIndex(output)];
      feed[port] = first ? first.gate(member!) : outer;
    }
    return feed;
  }

  private firstIndex(output: string): number {
    return this.program.firsts
      .filter((candidate) => this.feed![candidate.output])
      .findIndex((first) => first.output === output);
  }

  private skip(node: NodeProgram, reason: "when" | "source" | "error" | "budget"): void {
    if (this.run.events) this.run.emit({ type: "node-skip", path: this.path + node.suffix, reason });
    for (const { slot } of node.outputs) this.values[slot] = SKIPPED;
    this.settle(node);
  }

  ended(index: number, output: Row): void {
    const node = this.program.nodes[index]!;
    for (const { port, slot } of node.outputs) this.values[slot] = output[port] === undefined ? SKIPPED : output[port];
    this.settle(node);
    this.run.drain();
  }

  skipped(index: number): void {
    this.skip(this.program.nodes[index]!, "error");
    this.run.drain();
  }

  refused(index: number, reached?: Row, partial?: Row): void {
    this.broken = true;
    for (const { port, slot } of partial ? this.program.nodes[index]!.outputs : []) {
      this.partial ??= new Map();
      if (partial![port] !== undefined) this.partial.set(slot, partial![port]);
    }
    if (reached) this.ended(index, reached);
    else {
      this.skip(this.program.nodes[index]!, "budget");
      this.run.drain();
    }
  }

  failed(_: number, error: TesseraError): void {
    this.owner.failed(this.key, error);
  }

  private settle(node: NodeProgram): void {
    for (const gate of this.gates) gate.update(this.values);
    for (const reader of node.readers) if (--this.waiting[reader]! === 0) this.run.ready(this, reader);
    if (--this.left === 0) this.close();
  }

  private close(): void {
    const { program, run, path, values } = this;
    const output: Row = {};
    for (const { port, source, inherited } of program.output) {
      const value = read(source, values);
      if (value !== SKIPPED) output[port] = value;
      else if (inherited) output[port] = undefined;
    }
    if (run.events)
      run.emit({
        type: "flow-end",
        path,
        output,
        ms: run.clock.now() - this.began,
        status: this.broken ? "budget" : "done",
      });
    if (this.broken) this.owner.refused(this.key, output, this.unfinished());
    else this.owner.ended(this.key, output);
  }

  /** The outputs that are a list which lacks elements. */
  private unfinished(): Row | undefined {
    const { partial } = this;
    if (!partial) return undefined;
    const output: Row = {};
    for (const { port, source } of this.program.output)
      if (source.kind === "slot" && partial.has(source.slot)) output[port] = partial.get(source.slot);
    return output;
  }
}

/** A flow as a body. */
export const flowBody =
  (program: FlowProgram) =>
  (activation: Activation): Frame =>
    new Frame(program, activation);
