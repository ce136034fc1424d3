import { randomUUID } from "node:crypto";
import { appendFile, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, TesseraError } from "@tessera/core";
import type { RunEvent, RunState } from "@tessera/graph";

/** What is asked of a run without reading it. */
type Summary = Pick<RunState, "status" | "started" | "ended"> & { readonly principal: string };

const flushMs = 100;

/**
 * Runs in a folder: `<id>.json` is a state, written whole, and `<id>.events` has a line of JSON for each event, written in
 * batches of a tenth of a second. One process at a time; `assertHeld` is asked before every write.
 */
export class RunFolder {
  readonly #known = new Map<string, Summary>();

  private constructor(
    private readonly folder: string,
    private readonly assertHeld: () => Promise<void>,
  ) {}

  /** Reads which runs there are. A damaged one is left out, with a warning. */
  static async open(folder: string, assertHeld: () => Promise<void> = async () => {}): Promise<RunFolder> {
    await mkdir(folder, { recursive: true });
    const runs = new RunFolder(folder, assertHeld);
    for (const file of await readdir(folder)) {
      if (!file.endsWith(".json")) continue;
      try {
        const state = await runs.get(file.slice(0, -".json".length));
        if (state) runs.#note(state);
      } catch (error) {
        process.emitWarning(`the run ${file} is left out: ${messageOf(error)}`, "TesseraWarning");
      }
    }
    return runs;
  }

  #path(id: string, kind: "json" | "events"): string {
    return join(this.folder, `${id}.${kind}`);
  }

  #note({ id, status, started, ended, principal }: RunState): void {
    this.#known.set(id, { status, started, principal: principal.id, ...(ended !== undefined && { ended }) });
  }

  get summaries(): ReadonlyMap<string, Summary> {
    return this.#known;
  }

  async save(state: RunState): Promise<void> {
    const path = this.#path(state.id, "json");
    const draft = `${path}.${randomUUID()}`;
    await this.assertHeld();
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(JSON.stringify(state));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
    this.#note(state);
  }

  /** @throws TesseraError RECORD_CORRUPT */
  async get(id: string): Promise<RunState | undefined> {
    const text = await readFile(this.#path(id, "json"), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as RunState;
    } catch (cause) {
      throw new TesseraError("RECORD_CORRUPT", "the state of a run is damaged", { path: id, cause });
    }
  }

  /** The events of a run; one that a kill cut short does not count. */
  async events(id: string): Promise<RunEvent[]> {
    const text = await readFile(this.#path(id, "events"), "utf8").catch(() => "");
    const events: RunEvent[] = [];
    for (const line of text.split("\n"))
      try {
        events.push(JSON.parse(line));
      } catch {
        // half a line, with which a later process began a new one
      }
    return events;
  }

  /** Appends events to those that are there; they can be read once `flush` has resolved. */
  writer(id: string): { push(event: RunEvent): void; flush(): Promise<void> } {
    let waiting = "\n"; // ends what a kill cut short
    let writing = Promise.resolve();
    let timer: NodeJS.Timeout | undefined;
    const flush = (): Promise<void> => {
      clearTimeout(timer);
      timer = undefined;
      if (waiting.length > 1) {
        const batch = waiting;
        waiting = "";
        writing = writing
          .then(this.assertHeld)
          .then(() => appendFile(this.#path(id, "events"), batch, { mode: 0o600 }))
          .catch((error) => process.emitWarning(`events of run ${id} are lost: ${messageOf(error)}`, "TesseraWarning"));
      }
      return writing;
    };
    return {
      push(event) {
        waiting += `${JSON.stringify(event)}\n`;
        timer ??= setTimeout(flush, flushMs).unref();
      },
      flush,
    };
  }

  async remove(id: string): Promise<void> {
    await this.assertHeld();
    await rm(this.#path(id, "events"), { force: true });
    await rm(this.#path(id, "json"), { force: true });
    this.#known.delete(id);
  }
}
