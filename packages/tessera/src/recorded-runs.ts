import { randomUUID } from "node:crypto";
import { type FlowDocument, type Records, TesseraError } from "@tessera/core";
import type { CompiledFlow, ReplayOptions, RunOptions, RunResult, RunStream } from "@tessera/graph";
import {
  changesDocument,
  differenceOf,
  type ForkChange,
  forkedDocument,
  type LaunchedRun,
  type LaunchOptions,
  type RunDifference,
} from "@tessera/graph/internal";
import type { UseOfRecord } from "./handle.js";

/** What a fork would run. @internal */
type ExaminedFork = Pick<CompiledFlow, "document" | "hash" | "bound" | "writes" | "resources">;

/** What can be done with a run that is recorded: it is run again, as it was or with a change, and compared. */
export abstract class RecordedRuns {
  protected abstract get records(): Records | undefined;
  protected abstract takeUp<T extends { readonly result: Promise<RunResult<unknown>> }>(
    use: UseOfRecord,
    start: (flow: CompiledFlow, options: RunOptions) => T | Promise<T>,
  ): Promise<T>;
  protected abstract flowOfRun(id: string): Promise<CompiledFlow>;
  protected abstract compileChanged(document: FlowDocument): Promise<CompiledFlow>;

  /**
   * Runs a recorded run again from its records, on the document that it began with, without calling any operator or
   * model.
   * @throws TesseraError RECORD_MISSING if the run or one of its steps is not recorded; INVALID_FLOW if its document
   * can no longer be compiled; BAD_ARGUMENT if its flow has changed and its document was not kept.
   */
  async replay(id: string, options?: ReplayOptions): Promise<RunResult> {
    const { result } = await this.takeUp({ id, options }, (flow, options) => ({ result: flow.replay(id, options) }));
    return result;
  }

  /**
   * A new run of the recorded run's flow as it is now. Only steps whose key changed, and the steps after them, are
   * computed. If the flow was removed, the document of the recorded run is used.
   * @param id the recorded run; `options.id` is the id of the new one
   * @param input the input of the new run; by default that of the recorded run
   * @throws TesseraError as `resume` and `run`
   */
  async whatIf(id: string, input?: Record<string, unknown>, options?: RunOptions): Promise<RunResult> {
    const { result } = await this.takeUp(
      { id, options, asItIsNow: true, as: options?.id ?? randomUUID() },
      (flow, options) => ({
        result: flow.whatIf(id, input, options),
      }),
    );
    return result;
  }

  /**
   * A new run in which one thing of a recorded run is changed: what a step gave, what a wait was answered, or the settings or
   * the operator of a node. Only what follows from that is run. Every other step is taken from the record, whatever has
   * changed since; an element of a list is recognised by its content. With a path alone, the step is run once more.
   * @param change `at` is the path of a step; `options.id` is the id of the new run
   * @throws TesseraError RECORD_MISSING; NOT_FOUND where the run has no such step; BAD_INPUT where what is given does not fit;
   * INVALID_FLOW where the changed node does not; BAD_ARGUMENT where two things are changed
   */
  async fork(id: string, change: ForkChange, options?: RunOptions): Promise<RunResult> {
    const { result } = await this.#forked(id, change, options, (flow, options) => ({
      result: flow.fork(id, change, options),
    }));
    return result;
  }

  /** As `fork`, but returns the events as a stream. */
  forkStream(id: string, change: ForkChange, options?: RunOptions): Promise<RunStream<Record<string, unknown>>> {
    return this.#forked(id, change, options, (flow, options) => flow.forkStream(id, change, options));
  }

  /** As `fork`, but reports events by calls. */
  launchFork(
    id: string,
    change: ForkChange,
    options?: RunOptions & Pick<LaunchOptions, "hear" | "part">,
  ): Promise<LaunchedRun<Record<string, unknown>>> {
    return this.#forked(id, change, options, (flow, options) => flow.launchFork(id, change, options));
  }

  /**
   * What `fork` would run, without running it.
   * @param before is given the document before anything of it is set up; what it throws is thrown
   * @throws TesseraError as `fork`
   */
  async examineFork(id: string, change: ForkChange, before?: (document: FlowDocument) => void): Promise<ExaminedFork> {
    const base = await this.flowOfRun(id);
    before?.(changesDocument(change) ? forkedDocument(base.document, change) : base.document);
    const flow = await this.#changed(base, change);
    await flow.assertFork(id, change);
    return flow;
  }

  #changed(flow: CompiledFlow, change: ForkChange): CompiledFlow | Promise<CompiledFlow> {
    return changesDocument(change) ? this.compileChanged(forkedDocument(flow.document, change)) : flow;
  }

  #forked<T extends { readonly result: Promise<RunResult<unknown>> }>(
    id: string,
    change: ForkChange,
    options: RunOptions | undefined,
    start: (flow: CompiledFlow, options: RunOptions) => T,
  ): Promise<T> {
    return this.takeUp({ id, options, as: options?.id ?? randomUUID() }, async (flow, options) =>
      start(await this.#changed(flow, change), options),
    );
  }

  /** Gives a run that is under way in this process what has come to it through another one. @internal */
  async hearArrivals(id: string): Promise<void> {
    await (await this.flowOfRun(id)).hearArrivals(id);
  }

  /** The steps in which two recorded runs differ, as data. @throws TesseraError RECORD_MISSING */
  async diff(one: string, other: string): Promise<RunDifference> {
    for (const id of [one, other])
      if (!(await this.records?.run(id)))
        throw new TesseraError("RECORD_MISSING", `no run "${id}" is recorded`, { path: id });
    return differenceOf(this.records!, one, other);
  }
}
