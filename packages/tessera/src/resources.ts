import { didYouMean, type Host, type MaybePromise, messageOf, type Resource, TesseraError } from "@tessera/core";

/** Resources by kind and name: live ones, or functions that open them when a flow first asks. */
export type Resources = Readonly<Record<string, Readonly<Record<string, Resource | (() => MaybePromise<Resource>)>>>>;

/** A host that opens each resource once, when it is first asked for, and closes what it opened. */
export class ResourceHost implements Host {
  private readonly opened = new Map<string, Promise<Resource>>();
  private closed = false;

  constructor(private readonly resources: Resources) {}

  /** @throws TesseraError UNKNOWN_RESOURCE, CLOSED, SETUP_FAILED where it cannot be opened. */
  async resource<T extends Resource>(kind: string, name: string): Promise<T> {
    const path = `${kind}/${name}`;
    if (this.closed) throw new TesseraError("CLOSED", "the framework object was closed", { path });
    const names = Object.hasOwn(this.resources, kind) ? this.resources[kind]! : {};
    if (!Object.hasOwn(names, name))
      throw new TesseraError("UNKNOWN_RESOURCE", `there is no ${kind} "${name}"`, {
        path,
        hint: didYouMean(name, Object.keys(names)),
      });
    let opening = this.opened.get(path);
    if (!opening) {
      opening = this.open(names[name]!, path);
      this.opened.set(path, opening);
      // one that failed may be tried again
      opening.catch(() => this.opened.delete(path));
    }
    return opening as Promise<T>;
  }

  private async open(given: Resource | (() => MaybePromise<Resource>), path: string): Promise<Resource> {
    if (typeof given !== "function") return given;
    try {
      return await given();
    } catch (cause) {
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("SETUP_FAILED", `cannot open: ${messageOf(cause)}`, { path, cause });
    }
  }

  /** Closes what was opened, the last first; every one is closed, whatever another throws. */
  async close(): Promise<void> {
    this.closed = true;
    const failures: unknown[] = [];
    for (const opening of [...this.opened.values()].reverse())
      await opening.then((resource) => resource.close?.()).catch((thrown) => failures.push(thrown));
    this.opened.clear();
    if (failures.length > 0)
      throw new TesseraError("STORE_FAILED", `not everything could be closed: ${messageOf(failures[0])}`, {
        cause: failures[0],
      });
  }
}
