import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";

/** What a key may do besides reading what flows there are: run them, change them, manage indexes, see all runs and metrics. */
export const scopes = ["run", "flows", "indexes", "operate"] as const;
export type Scope = (typeof scopes)[number];

export const limits = z.strictObject({
  requestsPerMinute: z.int().positive().default(600),
  /** Runs at the same time. */
  concurrency: z.int().positive().default(16),
  /** Model calls and tokens of all runs of a day (UTC); without them only the flows' own bounds hold. */
  callsPerDay: z.int().nonnegative().optional(),
  tokensPerDay: z.int().nonnegative().optional(),
});
export type Limits = z.infer<typeof limits>;

const key = z.strictObject({
  id: z.string(),
  name: z.string(),
  hash: z.string(),
  principal: z.strictObject({ id: z.string().min(1), groups: z.array(z.string()).optional() }),
  scopes: z.array(z.enum(scopes)),
  /** The flows that it may run; all without it. */
  flows: z.array(z.string()).optional(),
  limits,
  created: z.string(),
  revoked: z.string().optional(),
});
export type Key = Readonly<z.infer<typeof key>>;

export interface KeyRequest {
  readonly name: string;
  /** Who asks with it; by default a principal of the key's own. */
  readonly principal?: Key["principal"] | undefined;
  readonly scopes?: readonly Scope[] | undefined;
  readonly flows?: readonly string[] | undefined;
  readonly limits?: z.input<typeof limits> | undefined;
}

const pattern = /^tsr_([a-f0-9]{12})_([A-Za-z0-9_-]{43})$/;

/** Writes a file that only its owner reads, whole or not at all. */
async function writeSecret(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

/**
 * The keys of a service, in `keys.json` of a folder. A key is `tsr_<id>_<secret>` with 256 random bits; what is kept is
 * HMAC-SHA-256 of the secret under the pepper in `pepper`. A slow hash defends secrets that people choose: random ones
 * of that length cannot be guessed however fast the hash is, and the pepper keeps a stolen `keys.json` from being
 * checked against at all. Changes by other processes count within a second.
 */
export class KeyRing {
  #keys = new Map<string, Key>();
  #seen = "";
  #looked = 0;
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly folder: string,
    private readonly pepper: Buffer,
  ) {}

  /** @throws TesseraError STORE_FAILED where the keys cannot be read. */
  static async open(folder: string): Promise<KeyRing> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, "pepper");
    // of several processes that begin at once, the first one's pepper holds
    await writeFile(path, randomBytes(32).toString("hex"), { flag: "wx", mode: 0o600 }).catch(() => {});
    const ring = new KeyRing(folder, Buffer.from(await readFile(path, "utf8"), "hex"));
    await ring.#refresh(0);
    return ring;
  }

  get #path(): string {
    return join(this.folder, "keys.json");
  }

  async #refresh(maxAge = 1000): Promise<void> {
    const now = Date.now();
    if (now - this.#looked < maxAge) return;
    this.#looked = now;
    const found = await stat(this.#path, { bigint: true }).catch(() => undefined);
    const seen = found ? `${found.mtimeNs} ${found.ino} ${found.size}` : "none";
    if (seen === this.#seen) return;
    try {
      const keys = found ? z.array(key).parse(JSON.parse(await readFile(this.#path, "utf8"))) : [];
      this.#keys = new Map(keys.map((one) => [one.id, one]));
      this.#seen = seen;
    } catch (cause) {
      throw new TesseraError("STORE_FAILED", "the keys cannot be read", { path: this.#path, cause });
    }
  }

  #hash(secret: string): Buffer {
    return createHmac("sha256", this.pepper).update(secret).digest();
  }

  #change<T>(work: () => T): Promise<T> {
    const result = this.#changes.then(async () => {
      await this.#refresh(0);
      const value = work();
      await writeSecret(this.#path, JSON.stringify([...this.#keys.values()], undefined, 2));
      return value;
    });
    this.#changes = result.catch(() => {});
    return result;
  }

  /** Makes a key. The token is told this once. */
  create(request: KeyRequest): Promise<{ token: string; key: Key }> {
    const id = randomBytes(6).toString("hex");
    const secret = randomBytes(32).toString("base64url");
    const made = key.parse({
      id,
      name: request.name,
      hash: this.#hash(secret).toString("hex"),
      principal: request.principal ?? { id: `key:${id}` },
      scopes: request.scopes ?? ["run"],
      ...(request.flows && { flows: request.flows }),
      limits: limits.parse(request.limits ?? {}),
      created: new Date().toISOString(),
    });
    return this.#change(() => {
      this.#keys.set(id, made);
      return { token: `tsr_${id}_${secret}`, key: made };
    });
  }

  async list(): Promise<Key[]> {
    await this.#refresh(0);
    return [...this.#keys.values()];
  }

  /** The key of an id, revoked ones too, as they were when last looked at. */
  find(id: string): Key | undefined {
    return this.#keys.get(id);
  }

  /** @throws TesseraError NOT_FOUND */
  revoke(id: string): Promise<Key> {
    return this.#change(() => {
      const found = this.#keys.get(id);
      if (!found) throw new TesseraError("NOT_FOUND", `there is no key "${id}"`);
      const revoked = { ...found, revoked: found.revoked ?? new Date().toISOString() };
      this.#keys.set(id, revoked);
      return revoked;
    });
  }

  /** The key of a token; `undefined` where it is unknown or revoked. Hashes are compared in constant time. */
  async verify(token: string): Promise<Key | undefined> {
    await this.#refresh();
    const [, id = "", secret = ""] = pattern.exec(token) ?? [];
    const found = this.#keys.get(id);
    const kept = found ? Buffer.from(found.hash, "hex") : Buffer.alloc(32);
    const same = timingSafeEqual(this.#hash(secret), kept);
    return same && found && !found.revoked ? found : undefined;
  }
}
