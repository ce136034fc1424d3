// internal
import { randomUUID } from "node:crypto";
import { TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import type { Runs } from "@tessera/graph/internal";
import type { Key } from "./keys.js";

/** Who makes calls: requests of one session have an id each, those of a key without sessions may meet under one. */
export interface Caller {
  readonly key: Key;
  readonly session: string | undefined;
}

/** The id of a request of JSON-RPC; 1 and "1" are two. */
export type RequestId = string | number;

/** A call of a tool that is under way. */
export interface Call {
  readonly signal: AbortSignal;
  /** The id of its run, which another process finds again by the call where there is a session. */
  readonly run: string;
  abort(reason: TesseraError): void;
  end(): void;
}

const remembered = 1000; // cancellations that came before their calls
const looked = 50; // runs among which the run of a call that another process took is looked for

const nameOf = ({ key, session }: Caller, id: RequestId): string => JSON.stringify([key.id, session ?? null, id]);
const runPrefix = (name: string): string => `mcp-${sha256(name).slice(0, 32)}-`;

/** The calls of tools that are under way in this process: their cancellation comes by another request. */
export class McpCalls {
  readonly #open = new Map<string, Set<Call>>();
  readonly #early = new Set<string>();

  constructor(private readonly runs: Pick<Runs, "cancel" | "list">) {}

  open(caller: Caller, id: RequestId): Call {
    const name = nameOf(caller, id);
    const controller = new AbortController();
    const call: Call = {
      signal: controller.signal,
      run: caller.session === undefined ? randomUUID() : `${runPrefix(name)}${randomUUID().slice(0, 8)}`,
      abort: (reason) => controller.abort(reason),
      end: () => {
        const open = this.#open.get(name);
        open?.delete(call);
        if (open?.size === 0) this.#open.delete(name);
      },
    };
    this.#open.set(name, (this.#open.get(name) ?? new Set()).add(call));
    if (this.#early.delete(name)) call.abort(cancelled());
    return call;
  }

  /** Cancels the call of an id, wherever it is: under way here, or in another process, or still to come. */
  async cancel(caller: Caller, id: RequestId): Promise<void> {
    const name = nameOf(caller, id);
    const open = this.#open.get(name);
    if (open) {
      for (const call of [...open]) call.abort(cancelled());
      return;
    }
    // without a session ids come again, and this one may be that of a later call
    if (caller.session === undefined) return;
    this.#early.add(name);
    if (this.#early.size > remembered) this.#early.delete(this.#early.values().next().value!);
    const latest = await this.runs.list({ principal: caller.key.principal.id, limit: looked });
    for (const { id: run, status } of latest)
      if (status === "running" && run.startsWith(runPrefix(name))) await this.runs.cancel(run).catch(() => {});
  }
}

const cancelled = () => new TesseraError("ABORTED", "the client cancelled the request");
