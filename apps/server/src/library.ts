import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  didYouMean,
  type FlowDocument,
  isOptional,
  type PortType,
  parseDocument,
  required,
  TesseraError,
} from "@tessera/core";
import type { CompiledFlow } from "@tessera/graph";
import type { Resources } from "@tessera/tessera";
import type { AnyTessera } from "./embedded-runs.js";

type Schema = { readonly [key: string]: unknown };
const objects = new Set(["passage", "hit", "answer"]);
const lists = new Set(["passages", "hits"]);

/** The JSON Schema of a port's values. */
function schemaOfPort(type: PortType): Schema {
  const plain = required(type);
  if (typeof plain === "string") {
    if (plain === "text") return { type: "string" };
    if (plain === "number") return { type: "number" };
    if (plain === "flag") return { type: "boolean" };
    if (lists.has(plain)) return { type: "array", items: { type: "object" } };
    return objects.has(plain) ? { type: "object" } : {};
  }
  if ("choice" in plain) return { type: "string", enum: plain.choice };
  if ("list" in plain) return { type: "array", items: schemaOfPort(plain.list) };
  if ("named" in plain) return { type: "object", additionalProperties: schemaOfPort(plain.named) };
  return plain as Schema;
}

/** The JSON Schema of what a flow takes. */
export const inputSchema = ({ input }: FlowDocument) => ({
  type: "object" as const,
  properties: Object.fromEntries(Object.entries(input).map(([port, type]) => [port, schemaOfPort(type)])),
  required: Object.keys(input).filter((port) => !isOptional(input[port]!)),
  additionalProperties: false,
});

/** The flows of a service: those it began with, and uploaded ones, which lie in a folder. */
export class Library {
  readonly #uploaded = new Map<string, FlowDocument>();
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly tessera: AnyTessera,
    private readonly given: Readonly<Record<string, FlowDocument>>,
    private readonly folder: string | undefined,
  ) {}

  /** Reads the uploaded flows. One that no longer compiles is left out, with a warning. */
  async load(): Promise<void> {
    await this.tessera.start();
    if (!this.folder) return;
    for (const name of await readdir(this.folder).catch(() => []))
      if (name.endsWith(".json"))
        try {
          const document = parseDocument(JSON.parse(await readFile(join(this.folder, name), "utf8")));
          await this.#install(new Map([...this.#uploaded, [document.name, document]]));
        } catch (error) {
          process.emitWarning(`the uploaded flow ${name} is left out: ${(error as Error).message}`, "TesseraWarning");
        }
  }

  get names(): readonly string[] {
    return this.tessera.flows;
  }

  /** @throws TesseraError NOT_FOUND */
  async flow(name: string): Promise<CompiledFlow> {
    if (!this.names.includes(name))
      throw new TesseraError("NOT_FOUND", `there is no flow "${name}"`, { hint: didYouMean(name, this.names) });
    return this.tessera.flow(name) as Promise<CompiledFlow>;
  }

  isUploaded = (name: string): boolean => this.#uploaded.has(name);

  async #install(uploaded: ReadonlyMap<string, FlowDocument>): Promise<void> {
    await this.tessera.reload({ flows: { ...this.given, ...Object.fromEntries(uploaded) } });
    this.#uploaded.clear();
    for (const [name, document] of uploaded) this.#uploaded.set(name, document);
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(work);
    this.#changes = result.catch(() => {});
    return result;
  }

  /**
   * Adds a flow, or replaces an uploaded one. Runs under way end on what they began with.
   * @throws TesseraError BAD_DOCUMENT, DOCUMENT_TOO_LARGE; INVALID_FLOW with every finding; CONFLICT where the service
   * was started with a flow of that name.
   */
  put(value: unknown): Promise<CompiledFlow> {
    return this.#change(async () => {
      const document = parseDocument(value);
      const { name } = document;
      if (Object.hasOwn(this.given, name))
        throw new TesseraError("CONFLICT", `"${name}" is a flow that the service was started with`, { path: name });
      await this.#install(new Map([...this.#uploaded, [name, document]]));
      if (this.folder) {
        await mkdir(this.folder, { recursive: true });
        const path = join(this.folder, `${name}.json`);
        await writeFile(`${path}.draft`, JSON.stringify(document, undefined, 2));
        await rename(`${path}.draft`, path);
      }
      return this.flow(name);
    });
  }

  /** @throws TesseraError NOT_FOUND, CONFLICT */
  remove(name: string): Promise<void> {
    return this.#change(async () => {
      await this.flow(name);
      if (!this.isUploaded(name))
        throw new TesseraError("CONFLICT", `"${name}" is a flow that the service was started with`, { path: name });
      const left = new Map(this.#uploaded);
      left.delete(name);
      await this.#install(left);
      if (this.folder) await rm(join(this.folder, `${name}.json`), { force: true });
    });
  }

  /** Puts resources in place, for flows that are uploaded from now on. */
  provide(resources: Resources): Promise<void> {
    return this.#change(() => this.tessera.reload({ resources }));
  }
}
