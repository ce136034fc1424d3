import crypto, { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TesseraError } from "@tessera/core";
import { sha256, WriterLock } from "@tessera/core/internal";
import { z } from "zod";

/** What a key may do besides listing flows: run flows, change them, manage indexes, and see all runs and metrics. */
export const scopes = ["run", "flows", "indexes", "operate"] as const;
export type Scope = (typeof scopes)[number];

export const limits = z.strictObject({
  requestsPerMinute: z.int().positive().default(600),
  /** Runs at the same time. */
  concurrency: z.int().positive().default(16),
  /**
   * The most model calls of all runs in a day (UTC), and likewise tokens. Without a limit only the bounds of the flows
   * apply.
   */
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
  /** The flows that the key may run; by default all. */
  flows: z.array(z.string()).optional(),
  /** The indexes that the key may use; by default all. */
  indexes: z.array(z.string()).optional(),
  limits,
  created: z.string(),
  revoked: z.string().optional(),
});
export type Key = Readonly<z.infer<typeof key>>;

export interface KeyRequest {
  readonly name: string;
  /** The user of the key; by default a principal of its own. */
  readonly principal?: Key["principal"] | undefined;
  readonly scopes?: readonly Scope[] | undefined;
  readonly flows?: readonly string[] | undefined;
  readonly indexes?: readonly string[] | undefined;
  readonly limits?: z.input<typeof limits> | undefined;
}

/**
 * Refuses a principal with the name of a group and a group with the name of a principal, so that a name in an access
 * list means only one of them.
 * @throws TesseraError CONFLICT
 */
function assertSeparateNames({ id, groups = [] }: Key["principal"], keys: readonly Key[]): void {
  const all = [...keys.map(({ principal }) => principal), { id, groups }];
  const ids = new Set(all.map((one) => one.id));
  const taken = new Set(all.flatMap((one) => one.groups ?? []).filter((group) => ids.has(group)));
  for (const name of [id, ...groups])
    if (taken.has(name))
      throw new TesseraError("CONFLICT", `"${name}" would be a principal and a group`, {
        path: name,
        hint: "access lists name both: give one of them another name",
      });
}

const pattern = /^tsr_([a-f0-9]{12})_([A-Za-z0-9_-]{43})$/;

/**
 * Writes a file that only its owner can read, as a whole or not at all. It replaces an existing file, or writes only if
 * there is none.
 */
async function writeSecret(path: string, text: string, { replace }: { replace: boolean }): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    if (replace) await rename(draft, path);
    else await link(draft, path).catch(() => {});
  } finally {
    await rm(draft, { force: true });
  }
}

interface Verified {
  readonly key: Key;
  readonly keys: ReadonlyMap<string, Key>;
  readonly at: number;
}

const verifiedFor = 500; // milliseconds
const mostVerified = 1000; // tokens
const lockWaitMs = 10_000; // milliseconds that a change waits for those of other processes

/**
 * Takes the lock of a folder, and waits for others that hold it.
 * @throws TesseraError INDEX_LOCKED if they hold it for too long.
 */
async function awaitLock(folder: string): Promise<WriterLock> {
  for (const until = performance.now() + lockWaitMs; ; await sleep(5 + 20 * Math.random()))
    try {
      return await WriterLock.acquire(folder);
    } catch (error) {
      if (!TesseraError.is(error) || error.code !== "INDEX_LOCKED" || performance.now() > until) throw error;
    }
}

const sealedPepper = (pepper: string): string => `${pepper}\n${sha256(pepper)}\n`;

/**
 * Reads the pepper.
 * @throws TesseraError STORE_FAILED if the file holds none. Otherwise every key would be refused without a reason.
 */
async function readPepper(path: string): Promise<Buffer> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new TesseraError("STORE_FAILED", "the pepper of the keys cannot be read, and without it no key is known", {
      path,
      hint: "put it back from a copy, or move keys.json away and make new keys",
      cause,
    });
  });
  // the second line is the checksum of the first; files of the first layout have none
  const [, pepper, sum] = /^([0-9a-f]{64})(?:\n([0-9a-f]{64}))?\n?$/.exec(text) ?? [];
  if (pepper !== undefined && (sum === undefined || sum === sha256(pepper))) {
    // where it cannot be written it is as good without
    if (sum === undefined) await writeSecret(path, sealedPepper(pepper), { replace: true }).catch(() => {});
    return Buffer.from(pepper, "hex");
  }
  const why = pepper === undefined ? "holds no 64 hexadecimal digits" : "was changed: its checksum differs";
  throw new TesseraError("STORE_FAILED", `the pepper of the keys is damaged: ${path} ${why}`, {
    path,
    hint: "put it back from a copy, or move it and keys.json away and make new keys",
  });
}

const sealed = z.strictObject({ keys: z.array(z.unknown()), sum: z.string() });

const sealedKeys = (keys: readonly Key[]): string =>
  JSON.stringify({ keys, sum: sha256(JSON.stringify(keys)) }, undefined, 2);

/** The keys of a file. A file of the first layout is a list without a checksum; the next change adds one. */
function readKeys(text: string): Key[] {
  const value: unknown = JSON.parse(text);
  if (Array.isArray(value)) return z.array(key).parse(value);
  const { keys, sum } = sealed.parse(value);
  if (sum !== sha256(JSON.stringify(keys))) throw new Error("its checksum differs");
  return z.array(key).parse(keys);
}

/**
 * The keys of a service, in `keys.json` of a folder. A key is `tsr_<id>_<secret>` with 256 random bits. The file holds
 * HMAC-SHA-256 of the secret under the pepper in the file `pepper`. Slow hashes protect secrets that people choose;
 * random secrets of this length cannot be guessed, however fast the hash is. Without the pepper, a stolen `keys.json`
 * cannot even be used to check a guess. Several processes may change the file, one at a time. A change by another
 * process counts from the next `verify`; `known` may answer from what was verified half a second before.
 */
export class KeyRing {
  #keys = new Map<string, Key>();
  /** Keys of this process alone, which are never written. */
  readonly #lent = new Map<string, Key>();
  #seen = "";
  /** Tokens that were verified a moment ago, by a hash. */
  readonly #verified = new Map<string, Verified>();
  /** By connection, the token that it sent last. */
  readonly #sent = new WeakMap<object, { readonly token: string; readonly found: Verified }>();
  readonly #listeners = new Set<(id: string) => void>();
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly folder: string,
    private readonly pepper: Buffer,
  ) {}

  /** @throws TesseraError STORE_FAILED, which names the file, where the keys or the pepper are damaged. */
  static async open(folder: string): Promise<KeyRing> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, "pepper");
    const isNew = !existsSync(path);
    // of several processes that begin at once, the first one's pepper holds
    if (isNew && !existsSync(join(folder, "keys.json")))
      await writeSecret(path, sealedPepper(randomBytes(32).toString("hex")), { replace: false });
    const ring = new KeyRing(folder, await readPepper(path));
    await ring.#refresh();
    return ring;
  }

  get #path(): string {
    return join(this.folder, "keys.json");
  }

  /** Reads the changes of other processes. If there are none, this takes some microseconds. */
  async #refresh(): Promise<void> {
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    const seen = found ? `${found.mtimeNs} ${found.ino} ${found.size}` : "none";
    if (seen === this.#seen) return;
    try {
      const keys = found ? readKeys(await readFile(this.#path, "utf8")) : [];
      this.#take(new Map(keys.map((one) => [one.id, one])));
      this.#seen = seen;
    } catch (cause) {
      throw new TesseraError("STORE_FAILED", `the keys cannot be read: ${this.#path} is damaged`, {
        path: this.#path,
        cause,
      });
    }
  }

  /** Reports the keys that are no longer valid. */
  #take(keys: Map<string, Key>): void {
    const before = this.#keys;
    this.#keys = keys;
    // what nobody can change need not be hashed for each step that asks with it
    for (const { principal } of keys.values()) {
      if (principal.groups) Object.freeze(principal.groups);
      Object.freeze(principal);
    }
    for (const [id, { revoked }] of before) {
      const now = keys.get(id);
      if (!revoked && (!now || now.revoked)) for (const listener of this.#listeners) listener(id);
    }
  }

  /** Calls a listener with the id of each key that is revoked or removed. The returned function ends this. */
  onRevoked(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Checks whether another process has changed the keys.
   * @throws TesseraError STORE_FAILED if they are damaged.
   */
  look(): Promise<void> {
    return this.#refresh();
  }

  #hash(secret: string): Buffer {
    return createHmac("sha256", this.pepper).update(secret).digest();
  }

  /** Changes the keys, here and on disk, or neither. */
  #change<T>(work: (keys: Map<string, Key>) => T): Promise<T> {
    const result = this.#changes.then(async () => {
      const lock = await awaitLock(this.folder);
      try {
        await this.#refresh();
        const keys = new Map(this.#keys);
        const value = work(keys);
        lock.assertHeld();
        await writeSecret(this.#path, sealedKeys([...keys.values()]), { replace: true });
        this.#take(keys);
        return value;
      } finally {
        await lock.release();
      }
    });
    this.#changes = result.catch(() => {});
    return result;
  }

  #made(request: KeyRequest): { token: string; key: Key } {
    const id = randomBytes(6).toString("hex");
    const secret = randomBytes(32).toString("base64url");
    const made = key.parse({
      id,
      name: request.name,
      hash: this.#hash(secret).toString("hex"),
      principal: request.principal ?? { id: `key:${id}` },
      scopes: request.scopes ?? ["run"],
      ...(request.flows && { flows: request.flows }),
      ...(request.indexes && { indexes: request.indexes }),
      limits: limits.parse(request.limits ?? {}),
      created: new Date().toISOString(),
    });
    return { token: `tsr_${id}_${secret}`, key: made };
  }

  /** Makes a key. Its token is returned only this once. */
  create(request: KeyRequest): Promise<{ token: string; key: Key }> {
    const made = this.#made(request);
    return this.#change((keys) => {
      assertSeparateNames(made.key.principal, [...keys.values()]);
      keys.set(made.key.id, made.key);
      return made;
    });
  }

  /** Makes a key of all scopes that lives as long as this object, and is neither written nor listed. */
  lend(request: Omit<KeyRequest, "scopes" | "limits">): { token: string; key: Key } {
    const made = this.#made({ ...request, scopes, limits: { requestsPerMinute: 60_000 } });
    this.#lent.set(made.key.id, made.key);
    return made;
  }

  async list(): Promise<Key[]> {
    await this.#refresh();
    return [...this.#keys.values()];
  }

  /** The key with an id, also a revoked one, as of the last look at the file. */
  find(id: string): Key | undefined {
    return this.#keys.get(id) ?? this.#lent.get(id);
  }

  /** @throws TesseraError NOT_FOUND */
  revoke(id: string): Promise<Key> {
    return this.#change((keys) => {
      const found = keys.get(id);
      if (!found) throw new TesseraError("NOT_FOUND", `there is no key "${id}"`);
      const revoked = { ...found, revoked: found.revoked ?? new Date().toISOString() };
      keys.set(id, revoked);
      return revoked;
    });
  }

  /**
   * The key of a token that was verified in the last half second, with the changes of this process since. It is some
   * microseconds faster than `verify`, which must be called if this returns nothing.
   * @param connection the connection that the token comes from; a token that it sent last is not hashed again
   */
  known(token: string, connection?: object): Key | undefined {
    const before = connection && this.#sent.get(connection);
    // compared with what the same connection has sent: the time that this takes tells it nothing about others
    const found = before?.token === token ? before.found : this.#verified.get(crypto.hash("sha256", token));
    if (!found || found.keys !== this.#keys || performance.now() - found.at >= verifiedFor) {
      if (connection) this.#sent.delete(connection);
      return undefined;
    }
    if (connection && before?.found !== found) this.#sent.set(connection, { token, found });
    return found.key;
  }

  /** The key of a token; undefined if it is unknown or revoked. Hashes are compared in constant time. */
  async verify(token: string): Promise<Key | undefined> {
    await this.#refresh();
    const [, id = "", secret = ""] = pattern.exec(token) ?? [];
    const found = this.find(id);
    const kept = found ? Buffer.from(found.hash, "hex") : Buffer.alloc(32);
    const same = timingSafeEqual(this.#hash(secret), kept);
    if (!same || !found || found.revoked) return undefined;
    if (this.#verified.size >= mostVerified) this.#verified.clear();
    this.#verified.set(crypto.hash("sha256", token), { key: found, keys: this.#keys, at: performance.now() });
    return found;
  }
}
