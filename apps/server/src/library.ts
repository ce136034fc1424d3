import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FlowDocument, TesseraError } from "@tessera/core";
import { hashing, inSlices, isOptional, jsonSchemaOf, readingDocument, sha256, warn } from "@tessera/core/internal";
import type { FlowHandle, Resources } from "@tessera/tessera";
import { assertNotAmbient } from "./ambient.js";
import type { AnyTessera } from "./embedded-runs.js";

/** The JSON Schema of what a flow takes. */
export const inputSchema = ({ input }: FlowDocument) => ({
  type: "object" as const,
  properties: Object.fromEntries(Object.entries(input).map(([port, type]) => [port, jsonSchemaOf(type)])),
  required: Object.keys(input).filter((port) => !isOptional(input[port]!)),
  additionalProperties: false,
});

/** Keeps uploaded flows. */
export interface FlowStorage {
  /** The documents as they are kept, by name; for one that is damaged the error that says so. */
  read(): Promise<ReadonlyMap<string, unknown>>;
  write(document: FlowDocument): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Flows in a folder, one file each; `assertHeld` is asked before every write. */
export function folderFlows(folder: string, assertHeld: () => Promise<void> = async () => {}): FlowStorage {
  const pathOf = (name: string) => join(folder, `${name}.json`);
  return {
    async read() {
      const found = new Map<string, unknown>();
      for (const file of await readdir(folder).catch(() => [])) {
        if (!file.endsWith(".json")) continue;
        const path = join(folder, file);
        found.set(file.slice(0, -".json".length), openedFlow(await readFile(path, "utf8"), path));
      }
      return found;
    },
    async write(document) {
      await assertHeld();
      await mkdir(folder, { recursive: true });
      const path = pathOf(document.name);
      await writeFile(`${path}.draft`, sealedFlow(document));
      await rename(`${path}.draft`, path);
    },
    async remove(name) {
      await assertHeld();
      await rm(pathOf(name), { force: true });
    },
  };
}

/** An uploaded flow as it is kept: the document with its checksum. */
export const sealedFlow = (document: FlowDocument): string =>
  JSON.stringify({ document, sum: sha256(JSON.stringify(document)) }, undefined, 2);

/** The document of what is kept; of the first layout it is the whole. What is damaged gives the error that says so. */
export function openedFlow(text: string, path: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (!isSealed(value)) {
      if (isObject(value) && "nodes" in value) return value;
    } else if (value.sum === sha256(JSON.stringify(value.document))) return value.document;
  } catch {
    // said below
  }
  return new TesseraError("RECORD_CORRUPT", "the uploaded flow was changed or cut: its checksum differs", {
    path,
    hint: "put it back from a copy, or upload the flow again",
  });
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const isSealed = (value: unknown): value is { readonly document: unknown; readonly sum: unknown } =>
  isObject(value) && "sum" in value && "document" in value;

/** What is asked of an upload besides that it compiles. */
export interface UploadChecks {
  before(isThere: boolean): Promise<void>;
  compiled(flow: FlowHandle): Promise<void>;
}

/** The flows of a service: those it began with, and uploaded ones. */
export class Library {
  readonly #uploaded = new Map<string, FlowDocument>();
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly tessera: AnyTessera,
    private readonly given: Readonly<Record<string, FlowDocument>>,
    private readonly storage?: FlowStorage,
  ) {}

  /**
   * Takes in what flows are kept, at first and where another process may have changed them. One that does not compile is
   * left out, with a warning.
   */
  load(): Promise<void> {
    return this.#change(async () => {
      await this.tessera.start();
      const kept = new Map<string, FlowDocument>();
      const before = new Map(this.#uploaded);
      for (const [name, value] of (await this.storage?.read()) ?? [])
        try {
          if (TesseraError.is(value)) throw value;
          const document = await inSlices(readingDocument(value));
          assertNotAmbient(document, this.tessera.operators);
          kept.set(name, document);
          const there = before.get(name);
          if (!there || (await inSlices(hashing(there))) !== (await inSlices(hashing(document))))
            await this.#install(new Map([...this.#uploaded, [name, document]]));
        } catch (error) {
          kept.delete(name);
          warn(`the uploaded flow ${name} is left out`, error);
        }
      if ([...this.#uploaded.keys()].some((name) => !kept.has(name))) await this.#install(kept);
    });
  }

  get names(): readonly string[] {
    return this.tessera.flows;
  }

  /** A flow, at once; nothing where there is none, or the flows are not compiled yet. */
  find(name: string): FlowHandle | undefined {
    return this.tessera.find(name) as FlowHandle | undefined;
  }

  /** @throws TesseraError NOT_FOUND */
  async flow(name: string): Promise<FlowHandle> {
    if (!this.names.includes(name))
      // no hint at others: not every key may know them
      throw new TesseraError("NOT_FOUND", `there is no flow "${name}"`);
    return this.tessera.flow(name) as Promise<FlowHandle>;
  }

  isUploaded = (name: string): boolean => this.#uploaded.has(name);

  async #install(uploaded: ReadonlyMap<string, FlowDocument>): Promise<void> {
    await this.tessera.reload({ flows: { ...this.given, ...Object.fromEntries(uploaded) } });
    this.#uploaded.clear();
    for (const [name, document] of uploaded) this.#uploaded.set(name, document);
  }

  /** Where it cannot be kept nothing has changed. */
  async #installAndKeep(
    uploaded: ReadonlyMap<string, FlowDocument>,
    keep: () => Promise<void> | undefined,
  ): Promise<void> {
    const before = new Map(this.#uploaded);
    await this.#install(uploaded);
    try {
      await keep();
    } catch (error) {
      await this.#install(before);
      throw error;
    }
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(work);
    this.#changes = result.catch(() => {});
    return result;
  }

  /**
   * Adds a flow, or replaces an uploaded one. Runs under way end on what they began with.
   * @param checks are made, under no other change, once it compiles and before it is kept; one that throws undoes the change
   * @throws TesseraError BAD_DOCUMENT, DOCUMENT_TOO_LARGE; FORBIDDEN where an operator reaches into the machine by itself; INVALID_FLOW with every finding; CONFLICT where the service
   * was started with a flow of that name.
   */
  put(value: unknown, checks?: UploadChecks): Promise<FlowHandle> {
    return this.#change(async () => {
      const document = await inSlices(readingDocument(value));
      const { name } = document;
      assertNotAmbient(document, this.tessera.operators);
      if (Object.hasOwn(this.given, name))
        throw new TesseraError("CONFLICT", `"${name}" is a flow that the service was started with`, { path: name });
      await checks?.before(this.isUploaded(name));
      await this.#installAndKeep(new Map([...this.#uploaded, [name, document]]), async () => {
        await checks?.compiled(await this.flow(name));
        await this.storage?.write(document);
      });
      return this.flow(name);
    });
  }

  /** @throws TesseraError NOT_FOUND, CONFLICT */
  remove(name: string, before?: () => Promise<void>): Promise<void> {
    return this.#change(async () => {
      await before?.();
      await this.flow(name);
      if (!this.isUploaded(name))
        throw new TesseraError("CONFLICT", `"${name}" is a flow that the service was started with`, { path: name });
      const left = new Map(this.#uploaded);
      left.delete(name);
      await this.#installAndKeep(left, () => this.storage?.remove(name));
    });
  }

  /**
   * Takes resources away, and then does a work, under no other change.
   * @throws TesseraError INVALID_FLOW where a flow names one: nothing has changed then.
   */
  withdraw(resources: Resources, work: () => Promise<void> = async () => {}): Promise<void> {
    const without = Object.fromEntries(Object.entries(resources).map(([kind, names]) => [kind, Object.keys(names)]));
    return this.#change(async () => {
      await this.tessera.reload({ without });
      try {
        await work();
      } catch (error) {
        await this.tessera.reload({ resources });
        throw error;
      }
    });
  }

  /** Puts resources in place, for flows that are uploaded from now on. */
  provide(resources: Resources): Promise<void> {
    return this.#change(() => this.tessera.reload({ resources }));
  }
}
