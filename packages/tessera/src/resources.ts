// public: Resources
// internal: Checks, assertReady, ResourceHost
import { type Host, type MaybePromise, type Resource, TesseraError } from "@tessera/core";
import { abortAfter, abortable, didYouMean, messageOf } from "@tessera/core/internal";

/** Resources by kind and name: open ones, or functions that open them when a flow first asks. */
export type Resources = Readonly<Record<string, Readonly<Record<string, Resource | (() => MaybePromise<Resource>)>>>>;

/** By kind and name: "store/docs". */
export const pathsOf = (resources: Resources): string[] =>
  Object.entries(resources).flatMap(([kind, names]) => Object.keys(names).map((name) => `${kind}/${name}`));

/** The same of names alone. */
export const pathsWithout = (names: Readonly<Record<string, readonly string[]>>): string[] =>
  Object.entries(names).flatMap(([kind, list]) => list.map((name) => `${kind}/${name}`));

/** By a name for people: rejects where something could not answer now. */
export type Checks = Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>>;

/**
 * Asks all at once whether they could answer.
 * @param within milliseconds; what has said nothing until then does not answer
 * @throws TesseraError NOT_READY with a finding for each that could not.
 */
export async function assertReady(checks: Checks, within: number): Promise<void> {
  const signal = abortAfter(within);
  const aborted = () => new Error(`no answer within ${within} ms`);
  const findings = await Promise.all(
    Object.entries(checks).map(async ([path, check]) => {
      try {
        await abortable(check(signal), { signal, aborted });
        return [];
      } catch (cause) {
        return [new TesseraError("NOT_READY", "it cannot answer now", { path, cause })];
      }
    }),
  );
  const failed = findings.flat();
  if (failed.length > 0)
    throw new TesseraError("NOT_READY", `not ready: ${failed.map(({ path }) => path).join(", ")}`, {
      findings: failed,
      cause: failed[0]!.cause,
    });
}

/** A resource that is opened once, when it is first asked for, and closed when no host holds it any more. */
class Slot {
  holders = 0;
  opened = false;
  #opening: Promise<Resource> | undefined;

  constructor(
    readonly given: Resource | (() => MaybePromise<Resource>),
    readonly path: string,
  ) {}

  get(): Promise<Resource> {
    if (!this.#opening) {
      this.#opening = this.#open();
      // one that failed may be tried again
      this.#opening.catch(() => {
        this.#opening = undefined;
      });
    }
    return this.#opening;
  }

  async #open(): Promise<Resource> {
    try {
      const resource = typeof this.given === "function" ? await this.given() : this.given;
      this.opened = true;
      return resource;
    } catch (cause) {
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("SETUP_FAILED", `cannot open: ${messageOf(cause)}`, { path: this.path, cause });
    }
  }

  /** @throws what the resource says that it cannot answer for. */
  async check(signal: AbortSignal): Promise<void> {
    const resource = await this.get();
    await resource.check?.(signal);
  }

  async release(): Promise<void> {
    if (--this.holders > 0) return;
    const resource = await this.#opening?.catch(() => undefined);
    await resource?.close?.();
  }
}

/**
 * A host that opens each resource once, when it is first asked for, and closes what it opened. Hosts that follow one
 * another share what was not replaced; it is closed with the last of them.
 */
export class ResourceHost implements Host {
  readonly #slots = new Map<string, Slot>();
  readonly #asked = new Set<Slot>();
  #closed = false;

  /** `hints` says, by kind, how to give a resource where there is none of that kind. */
  constructor(
    resources: Resources,
    private readonly hints: Readonly<Record<string, string>> = {},
  ) {
    this.#take(resources);
  }

  #take(resources: Resources): void {
    for (const [kind, names] of Object.entries(resources))
      for (const [name, given] of Object.entries(names)) {
        const path = `${kind}/${name}`;
        this.#slots.set(path, new Slot(given, path));
      }
  }

  /** A host with some resources in place of its own, or beside them, and without others. */
  replacing(resources: Resources, without: Readonly<Record<string, readonly string[]>> = {}): ResourceHost {
    const next = new ResourceHost({}, this.hints);
    for (const [path, slot] of this.#slots) next.#slots.set(path, slot);
    for (const path of pathsWithout(without)) next.#slots.delete(path);
    next.#take(resources);
    // what this one opened stays open for the next, asked for or not
    for (const slot of this.#asked) if (next.#slots.get(slot.path) === slot) next.#hold(slot);
    return next;
  }

  #hold(slot: Slot): void {
    if (this.#asked.has(slot)) return;
    slot.holders++;
    this.#asked.add(slot);
  }

  /** @throws TesseraError UNKNOWN_RESOURCE, CLOSED, SETUP_FAILED where it cannot be opened. */
  async resource<T extends Resource>(kind: string, name: string): Promise<T> {
    const path = `${kind}/${name}`;
    if (this.#closed) throw new TesseraError("CLOSED", "the framework object was closed", { path });
    const slot = this.#slots.get(path);
    if (!slot) {
      const names = [...this.#slots.keys()].filter((known) => known.startsWith(`${kind}/`));
      throw new TesseraError("UNKNOWN_RESOURCE", `there is no ${kind} "${name}"`, {
        path,
        hint:
          (names.length === 0 && this.hints[kind]) ||
          didYouMean(
            name,
            names.map((known) => known.slice(kind.length + 1)),
          ),
      });
    }
    this.#hold(slot);
    return (await slot.get()) as T;
  }

  /** What the flows have asked for, each with its check, by kind and name ("store/docs"). */
  get checks(): Checks {
    return Object.fromEntries([...this.#asked].map((slot) => [slot.path, (signal) => slot.check(signal)]));
  }

  /**
   * Closes what was opened and nobody else holds, the last first; every one is closed, whatever another throws. What is
   * still being opened is waited for, or with `patient` false closed when it comes.
   */
  async close({ patient = true }: { patient?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const failures: unknown[] = [];
    for (const slot of [...this.#asked].reverse()) {
      const released = slot.release().catch((thrown) => failures.push(thrown));
      if (patient || slot.opened) await released;
    }
    if (failures.length > 0)
      throw new TesseraError("STORE_FAILED", `not everything could be closed: ${messageOf(failures[0])}`, {
        cause: failures[0],
      });
  }
}
