// internal
import { randomUUID } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { z } from "zod";

/**
 * The owner of something: "new" if it does not exist yet, "unknown" if it is older than the record of owners, or a
 * principal.
 */
export type Owner = "new" | "unknown" | { readonly principal: string };
type OwnedKind = "flow" | "index";

/**
 * Stores the owners of flows and indexes. An owner is stored before the thing is made, and removed after it is gone.
 */
export interface Owners {
  /** The principal who made it, if that is stored. */
  of(kind: OwnedKind, name: string): Promise<string | undefined>;
  note(kind: OwnedKind, name: string, principal: string): Promise<void>;
  forget(kind: OwnedKind, name: string): Promise<void>;
}

export async function ownerOf(owners: Owners, kind: OwnedKind, name: string, isThere: boolean): Promise<Owner> {
  if (!isThere) return "new";
  const principal = await owners.of(kind, name);
  return principal === undefined ? "unknown" : { principal };
}

const kept = z.strictObject({ owners: z.record(z.string(), z.string()), sum: z.string() });

/** Owners in memory, or in a file that is written as a whole before a change counts. */
export class LocalOwners implements Owners {
  #owners: ReadonlyMap<string, string> = new Map();
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly path?: string,
    private readonly assertHeld: () => Promise<void> = async () => {},
  ) {}

  /** @throws TesseraError RECORD_CORRUPT where the file is damaged. */
  static async open(path: string, assertHeld?: () => Promise<void>): Promise<LocalOwners> {
    const owners = new LocalOwners(path, assertHeld);
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (text === undefined) return owners;
    try {
      const { owners: found, sum } = kept.parse(JSON.parse(text));
      if (sum !== sha256(JSON.stringify(found))) throw new Error("its checksum differs");
      owners.#owners = new Map(Object.entries(found));
    } catch (cause) {
      const hint = 'remove the file: what was uploaded is then for keys with the scope "operate"';
      throw new TesseraError("RECORD_CORRUPT", "the owners of flows and indexes are damaged", { path, cause, hint });
    }
    return owners;
  }

  async of(kind: OwnedKind, name: string): Promise<string | undefined> {
    return this.#owners.get(`${kind}/${name}`);
  }

  note(kind: OwnedKind, name: string, principal: string): Promise<void> {
    return this.#change((owners) => owners.set(`${kind}/${name}`, principal));
  }

  forget(kind: OwnedKind, name: string): Promise<void> {
    return this.#change((owners) => owners.delete(`${kind}/${name}`));
  }

  #change(work: (owners: Map<string, string>) => unknown): Promise<void> {
    const result = this.#changes.then(async () => {
      const owners = new Map(this.#owners);
      work(owners);
      await this.#write(Object.fromEntries(owners));
      this.#owners = owners;
    });
    this.#changes = result.catch(() => {});
    return result;
  }

  async #write(owners: Record<string, string>): Promise<void> {
    if (!this.path) return;
    await this.assertHeld();
    const draft = `${this.path}.${randomUUID()}`;
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(JSON.stringify({ owners, sum: sha256(JSON.stringify(owners)) }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, this.path);
  }
}
