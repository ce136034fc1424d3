import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cache, type FlowDocument, type Json, TesseraError } from "@tessera/core";
import { errorBody, stampNow } from "@tessera/core/internal";
import type { CompiledFlow } from "@tessera/graph";
import { assertNotAmbient } from "../ambient.js";
import type { AnyTessera } from "../embedded-runs.js";
import { asTesseraError } from "../errors.js";
import type { Key } from "../keys.js";
import type { Lease } from "../meter.js";
import { assertMay, assertMayUse, assertMayWrite } from "../rights.js";
import { writing } from "../route.js";
import type { Service } from "../server.js";
import type { QuestionRecord } from "./data-folder.js";

/** What a client asks to be tuned. */
export interface AskedTuning {
  readonly flow: string;
  /** The name of a data set of the folder. */
  readonly set: string;
  readonly settings: readonly { readonly at: string; readonly values: string | readonly Json[] }[];
  readonly metric: string;
  readonly smaller?: boolean | undefined;
  readonly runs?: number | undefined;
  readonly calls?: number | undefined;
  readonly seed?: number | undefined;
}

/** What a combination of values has reached so far; its document's hash tells it from others. */
interface Trial {
  readonly hash: string;
}

/** Searches values for settings, as `tuneServed` of @tessera/eval does. */
export type Tune = (
  search: Omit<AskedTuning, "flow" | "set"> & {
    readonly document: FlowDocument;
    readonly questions: readonly QuestionRecord[];
    readonly principal: Key["principal"];
    readonly signal: AbortSignal;
    readonly compile: (document: FlowDocument, cache?: Cache) => Promise<CompiledFlow>;
    readonly admit: (flow: Pick<CompiledFlow, "bound">) => Promise<Lease>;
    readonly planned: (laid: object) => void;
    readonly progress: (done: number, planned: number) => void;
    readonly tried: (trial: Trial) => void;
  },
) => Promise<object>;

/** A search as clients see it. */
export interface TuningState extends AskedTuning {
  readonly id: string;
  readonly status: "running" | "done" | "failed" | "cancelled";
  readonly started: string;
  readonly ended?: string;
  /** Runs of the flow on a question. */
  readonly progress: { readonly done: number; readonly planned: number };
  /** How it is laid out. */
  readonly laid?: object;
  /** What was tried so far, each as it stands. */
  readonly trials: readonly Trial[];
  /** What it came to, once it is done. */
  readonly result?: object;
  readonly error?: object;
}

/** One search: what it has reached, and the end of it. */
class Search {
  readonly #controller = new AbortController();
  readonly #trials = new Map<string, Trial>();
  #state: Omit<TuningState, "trials">;

  constructor(
    private readonly service: Service,
    private readonly tessera: AnyTessera,
    readonly key: Key,
    asked: AskedTuning,
  ) {
    const progress = { done: 0, planned: 0 };
    this.#state = { ...asked, id: randomUUID(), status: "running", started: stampNow(), progress };
  }

  get state(): TuningState {
    return { ...this.#state, trials: [...this.#trials.values()] };
  }

  cancel(reason: unknown = new Error("stopped")): void {
    this.#controller.abort(reason);
  }

  /** Resolves when every value was checked; the search goes on behind that. @throws TesseraError what the check says */
  begin(tune: Tune, document: FlowDocument, questions: readonly QuestionRecord[]): Promise<void> {
    const begun = Promise.withResolvers<void>();
    const { signal } = this.#controller;
    const forget = this.service.revocations.add(this.key.id, (reason) => this.cancel(reason));
    const { settings, metric, smaller, runs, calls, seed } = this.#state;
    this.tessera
      .compiling((compile) =>
        tune({
          ...{ document, questions, principal: this.key.principal, signal },
          ...{ settings, metric, smaller, runs, calls, seed },
          compile: async (changed, cache) => this.#permitted(await compile(changed, cache)),
          admit: (flow) => this.#admit(flow),
          planned: (laid) => {
            this.#state = { ...this.#state, laid };
            begun.resolve();
          },
          progress: (done, planned) => {
            this.#state = { ...this.#state, progress: { done, planned } };
          },
          tried: (trial) => void this.#trials.set(trial.hash, trial),
        }),
      )
      .then((result) => this.#end({ status: "done", result }))
      .catch((thrown) => {
        const failed = { status: "failed", error: errorBody(asTesseraError(thrown)) } as const;
        this.#end(signal.aborted ? { status: "cancelled" } : failed);
        begun.reject(thrown);
      })
      .finally(forget);
    return begun.promise;
  }

  #end(how: Pick<TuningState, "status" | "result" | "error">): void {
    this.#state = { ...this.#state, ...how, ended: stampNow() };
  }

  /** A changed document is one from outside: what an upload may not do it may not do either. */
  async #permitted(flow: CompiledFlow): Promise<CompiledFlow> {
    const rights = writing(this.service);
    assertNotAmbient(flow.document, this.tessera.operators);
    assertMayUse(this.key, flow, rights.indexOf);
    await assertMayWrite(this.key, { ...rights, flow, isUploaded: true });
    return flow;
  }

  /** A place for a run of it, as for any run of the key; it waits while the key has no place. */
  async #admit({ bound }: Pick<CompiledFlow, "bound">): Promise<Lease> {
    const { signal } = this.#controller;
    for (;;)
      try {
        return await this.service.meter.admit(this.key, { id: randomUUID(), bound });
      } catch (thrown) {
        if (!TesseraError.is(thrown) || thrown.code !== "OVERLOADED") throw thrown;
        await sleep(200, undefined, { signal });
      }
  }
}

const kept = 50; // searches

/** The searches of this process. One is under way at a time; the latest are kept in memory. */
export class Tunings {
  readonly #searches = new Map<string, Search>();

  constructor(
    private readonly service: Service,
    private readonly tessera: AnyTessera,
    private readonly tune: Tune,
  ) {}

  /**
   * Begins a search for a key. Each run of it counts against the key as any other does.
   * @throws TesseraError CONFLICT while another is under way; FORBIDDEN, NOT_FOUND; as `tune` of @tessera/eval
   */
  async start(key: Key, asked: AskedTuning, questions: readonly QuestionRecord[]): Promise<TuningState> {
    assertMay(key, { to: "run", flow: asked.flow });
    const { document, writes } = await this.service.library.flow(asked.flow);
    if (writes.length > 0)
      throw new TesseraError("BAD_ARGUMENT", `"${asked.flow}" writes, and would write at every try`, { path: "flow" });
    if ([...this.#searches.values()].some(({ state }) => state.status === "running"))
      throw new TesseraError("CONFLICT", "another search is under way", { hint: "wait until it ends, or stop it" });
    const search = new Search(this.service, this.tessera, key, asked);
    const { id } = search.state;
    this.#searches.set(id, search);
    try {
      await search.begin(this.tune, document, questions);
    } catch (error) {
      this.#searches.delete(id);
      throw error;
    }
    const [oldest] = this.#searches.keys();
    if (this.#searches.size > kept) this.#searches.delete(oldest!);
    return search.state;
  }

  /** The searches that a key may see, the latest first. */
  list(key: Key): TuningState[] {
    return [...this.#searches.values()]
      .filter((search) => seen(key, search))
      .map(({ state }) => state)
      .reverse();
  }

  /** @throws TesseraError NOT_FOUND */
  find(key: Key, id: string): Search {
    const search = this.#searches.get(id);
    if (search && seen(key, search)) return search;
    throw new TesseraError("NOT_FOUND", `there is no search "${id}"`, { path: id });
  }

  /** Ends the search that is under way. */
  close(): void {
    for (const search of this.#searches.values()) search.cancel();
  }
}

const seen = (key: Key, search: Search): boolean =>
  search.key.principal.id === key.principal.id || key.scopes.includes("operate");
