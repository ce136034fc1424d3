// public: FlowHandle
import { randomUUID } from "node:crypto";
import type { FlowDocument } from "@tessera/core";
import type { CompiledFlow, FlowBound, ReplayOptions, RunOptions, RunResult, RunStream } from "@tessera/graph";
import type { ResumeOptions } from "@tessera/graph/internal";

/** Which recorded run something stands on, and how. @internal */
export interface UseOfRecord {
  readonly id: string;
  /** The flow that the run must be one of. */
  readonly of?: string;
  /** The id of the run that begins; by default that of the recorded one. */
  readonly as?: string;
  readonly options?: RunOptions | undefined;
  /** On the flow of that name as it is now, and not on the document that the run began with. */
  readonly asItIsNow?: boolean | undefined;
}

/** What a handle asks of the object that it comes from. @internal */
export interface TesseraRuns {
  run(input: object, options?: RunOptions): Promise<RunResult<unknown>>;
  stream(input: object, options?: RunOptions): Promise<RunStream<unknown>>;
  takeUp<T extends { readonly result: Promise<RunResult<unknown>> }>(
    use: UseOfRecord,
    start: (flow: CompiledFlow, options: RunOptions) => T,
  ): Promise<T>;
}

/**
 * One flow of a `Tessera`, from `tessera.flow(name)`. Its runs belong to that object: `close` and `drain` wait for
 * them, and a resource that a `reload` replaces stays open until they have ended. After a `reload`, new runs use the
 * flow that has the name then. If the flow was removed, the handle still describes it, and a new run is refused with
 * BAD_ARGUMENT.
 */
export class FlowHandle<I extends object = Record<string, unknown>, O = Record<string, unknown>> {
  constructor(
    readonly name: string,
    private readonly now: () => Pick<CompiledFlow, "document" | "hash" | "bound" | "writes" | "resources">,
    private readonly runs: TesseraRuns,
  ) {}

  get document(): FlowDocument {
    return this.now().document;
  }

  /** The content hash of the document. */
  get hash(): string {
    return this.now().hash;
  }

  /** The most that a run can spend. */
  get bound(): FlowBound {
    return this.now().bound;
  }

  /** The resources that its operators with the effect "write" ask for, by kind and name: "store/docs". */
  get writes(): readonly string[] {
    return this.now().writes;
  }

  /** The resources that its operators ask for, by kind and name: "store/docs". */
  get resources(): readonly string[] {
    return this.now().resources;
  }

  /** As `Tessera.run`. */
  run(input: I, options?: RunOptions): Promise<RunResult<O>> {
    return this.runs.run(input, options) as Promise<RunResult<O>>;
  }

  /** As `Tessera.stream`. */
  stream(input: I, options?: RunOptions): Promise<RunStream<O>> {
    return this.runs.stream(input, options) as Promise<RunStream<O>>;
  }

  /** As `Tessera.resume`. @throws TesseraError also BAD_ARGUMENT if the run belongs to another flow */
  async resume(id: string, options?: ResumeOptions): Promise<RunResult<O>> {
    const use = { id, options, asItIsNow: options?.acceptChanges };
    const { result } = await this.runs.takeUp(use, (flow, options) => ({ result: flow.resume(id, options) }));
    return result as Promise<RunResult<O>>;
  }

  /** As `Tessera.resumeStream`. @throws TesseraError also BAD_ARGUMENT if the run belongs to another flow */
  resumeStream(id: string, options?: ResumeOptions): Promise<RunStream<O>> {
    const use = { id, options, asItIsNow: options?.acceptChanges };
    return this.runs.takeUp(use, (flow, options) => flow.resumeStream(id, options) as unknown as RunStream<O>);
  }

  /** As `Tessera.replay`. @throws TesseraError also BAD_ARGUMENT if the run belongs to another flow */
  async replay(id: string, options?: ReplayOptions): Promise<RunResult<O>> {
    const { result } = await this.runs.takeUp({ id, options }, (flow, options) => ({
      result: flow.replay(id, options),
    }));
    return result as Promise<RunResult<O>>;
  }

  /** As `Tessera.whatIf`. @throws TesseraError also BAD_ARGUMENT if the run belongs to another flow */
  async whatIf(id: string, input?: I, options?: RunOptions): Promise<RunResult<O>> {
    const use = { id, options, asItIsNow: true, as: options?.id ?? randomUUID() };
    const { result } = await this.runs.takeUp(use, (flow, options) => ({
      result: flow.whatIf(id, input as never, options),
    }));
    return result as Promise<RunResult<O>>;
  }
}
