// public: MilvusSettings, MilvusStore
import { createHash, randomUUID } from "node:crypto";
import {
  type ChangeOptions,
  type Hit,
  type Passage,
  type Principal,
  type Store,
  type StoreQuery,
  TesseraError,
} from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import type { MilvusClient, RowData, SearchSimpleReq } from "@zilliz/milvus2-sdk-node";
import { admitted, columnsOf, mostFacts } from "./milvus-filter.js";
import { assertStoreName, assertTop, keepFresh, passagesAsJson, passagesInOrder } from "./passage-table.js";
import { unitOf, type VectorSpace } from "./vectors.js";

/** The server and the name of a store, and the space of its vectors. */
export interface MilvusSettings extends VectorSpace {
  /** Host and port, such as "127.0.0.1:19530". */
  readonly address: string;
  /** What the server asks for: "user:password", or an API key. */
  readonly token?: string | undefined;
  /** Whether the connection is encrypted. */
  readonly ssl?: boolean | undefined;
  /** The server's database; by default its own default. */
  readonly database?: string | undefined;
  /** The name of the store: lower-case letters, digits and _. */
  readonly name: string;
  /** How often the revision is read, in milliseconds, to see the writes of other processes; 1,000 by default, 0 for never. */
  readonly refreshMs?: number | undefined;
}

const notKept = /[\0\p{Surrogate}]/u;
const atOnce = 500; // passages a request
const mostHits = 16_384; // of one search: a limit of Milvus
const mostBytes = 65_535; // of one text column: a limit of Milvus
const longestId = 1024;
const ties = 16; // more than `top` that are looked at where the last places are equal
const keptForDays = 30;

/**
 * Passages and their vectors in Milvus: for more passages than one machine holds, in partitions and replicas that the
 * server manages. It is searched by cosine, by vectors alone. The filter and the rights of the principal are a condition of
 * the search. Every search reads what was written before it (strong consistency).
 *
 * Milvus has no transactions. A write that breaks off may leave a part of its passages behind; written again, it is whole.
 * The key of a change is kept after the change: a process that dies between the two makes the same change again. A passage, as
 * JSON, may have 65,535 bytes, and 4,096 values that a filter can ask for.
 */
export class MilvusStore implements Store {
  #revision = "store.milvus:0";
  #open = true;
  readonly #stop: (() => void) | undefined;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly client: MilvusClient,
    private readonly passages: string,
    private readonly state: string,
    private readonly vectors: VectorSpace,
    refreshMs: number,
  ) {
    this.#stop = keepFresh(this, refreshMs);
  }

  /** @throws TesseraError BAD_ARGUMENT, SPACE_MISMATCH, DEPENDENCY_MISSING, STORE_FAILED */
  static async open(settings: MilvusSettings): Promise<MilvusStore> {
    const { name, space, width, refreshMs = 1000 } = settings;
    assertStoreName(name);
    // Milvus takes no vector of one component
    if (!Number.isInteger(width) || width < 2 || width > 32_768)
      throw new TesseraError("BAD_ARGUMENT", `a width is a whole number from 2 to 32,768, not ${width}`);
    const client = await connect(settings);
    try {
      const store = new MilvusStore(client, `tessera_${name}`, `tessera_${name}_state`, { space, width }, refreshMs);
      await store.#create();
      return store;
    } catch (error) {
      await client.closeConnection().catch(() => {});
      throw error;
    }
  }

  get revision(): string {
    return this.#revision;
  }

  get space(): string {
    return this.vectors.space;
  }

  /** Reads the revision, which other processes may have changed. @throws TesseraError STORE_FAILED */
  async refresh(): Promise<void> {
    this.#revision = (await this.#read("revision")) ?? this.#revision;
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED, STORE_FAILED */
  async search({ vector, top, filter, principal }: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    assertTop(top);
    if (top > mostHits)
      throw new TesseraError("BAD_ARGUMENT", `${top} hits are more than Milvus gives`, {
        hint: `ask for ${mostHits} at most`,
      });
    if (!vector)
      throw new TesseraError("BAD_ARGUMENT", "this store is searched by vectors", {
        hint: "search words in a Bm25Store or a PostgresStore beside it",
      });
    const asked = { unit: [...unitOf(vector, this.vectors, "vector")], condition: admitted(filter, principal) };
    let rows = await this.#near(asked, Math.min(mostHits, top + ties));
    // where more passages are equal than were looked at, all that Milvus gives are
    if (rows.length === top + ties && rows.at(-1)!.score === rows[top - 1]!.score)
      rows = await this.#near(asked, mostHits);
    signal?.throwIfAborted();
    return rows
      .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
      .slice(0, top)
      .map(({ passage, score }, index) => ({
        passage: JSON.parse(passage) as Passage,
        score,
        provenance: [{ operator: "store.milvus", rank: index + 1, score }],
      }));
  }

  async #near({ unit, condition }: { unit: number[]; condition: string }, limit: number): Promise<Row[]> {
    const query = {
      ...{ collection_name: this.passages, anns_field: "vector", metric_type: "IP", consistency_level: "Strong" },
      ...{ data: unit, limit, filter: condition, output_fields: ["id", "passage"] },
    };
    const { results } = await answered(this.client.search(query as unknown as SearchSimpleReq));
    return results as unknown as Row[];
  }

  async get(ids: readonly string[], principal?: Principal): Promise<(Passage | undefined)[]> {
    this.#assertOpen();
    const found = new Map<string, string>();
    const wanted = [...new Set(ids)].filter((id) => !notKept.test(id) && id !== "");
    for (let from = 0; from < wanted.length; from += atOnce) {
      const part = wanted.slice(from, from + atOnce);
      const filter = `${inList(part)} and ${admitted(undefined, principal)}`;
      for (const { id, passage } of await this.#query<Row>(this.passages, filter, ["id", "passage"]))
        found.set(id, passage);
    }
    return passagesInOrder(ids, found);
  }

  /**
   * Adds or replaces passages. All are checked before the first is written.
   * @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED, STORE_FAILED
   */
  async upsert(
    passages: readonly Passage[],
    vectors: readonly Float32Array[] = [],
    how?: ChangeOptions,
  ): Promise<void> {
    this.#assertOpen();
    if (passages.length !== vectors.length)
      throw new TesseraError("BAD_ARGUMENT", `${passages.length} passages with ${vectors.length} vectors`);
    const rows = new Map<string, RowData>();
    for (const [index, json] of passagesAsJson(passages).entries()) {
      const vector = [...unitOf(vectors[index], this.vectors, `vectors[${index}]`)];
      rows.set(passages[index]!.id, { ...rowOf(passages[index]!, json, `passages[${index}]`), vector });
    }
    if (rows.size === 0) return;
    const all = [...rows.values()];
    await this.#write(how, async () => {
      for (let from = 0; from < all.length; from += atOnce)
        await answered(this.client.upsert({ collection_name: this.passages, data: all.slice(from, from + atOnce) }));
    });
  }

  async delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    this.#assertOpen();
    const gone = [...new Set(ids)].filter((id) => !notKept.test(id) && id !== "");
    await this.#write(how, async () => {
      for (let from = 0; from < gone.length; from += atOnce)
        await answered(
          this.client.delete({ collection_name: this.passages, filter: inList(gone.slice(from, from + atOnce)) }),
        );
    });
  }

  /** The number of passages. */
  async statistics(): Promise<{ passages: number }> {
    this.#assertOpen();
    const [row] = await this.#query<{ "count(*)": string | number }>(this.passages, "", ["count(*)"]);
    return { passages: Number(row?.["count(*)"] ?? 0) };
  }

  /** Removes the store and everything in it, and closes it. */
  async drop(): Promise<void> {
    this.#assertOpen();
    for (const collection_name of [this.passages, this.state])
      await answered(this.client.dropCollection({ collection_name }));
    await this.close();
  }

  /** @throws TesseraError CLOSED, STORE_FAILED */
  async check(): Promise<void> {
    this.#assertOpen();
    await this.refresh();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#stop?.();
    await this.#writes;
    await this.client.closeConnection();
  }

  /** Creates what the store needs, where it is not there; processes that start at the same time do it once. */
  async #create(): Promise<void> {
    const { DataType } = await sdk();
    const text = { data_type: DataType.VarChar };
    const list = { data_type: DataType.Array, element_type: DataType.VarChar, max_capacity: mostFacts, max_length: 32 };
    await this.#collection(this.state, [
      { name: "key", ...text, max_length: 64, is_primary_key: true },
      { name: "value", ...text, max_length: mostBytes },
      // a collection must have a vector
      { name: "vector", data_type: DataType.FloatVector, dim: 2 },
    ]);
    const { space, width } = this.vectors;
    const known = await this.#read("space");
    const mine = JSON.stringify({ space, width });
    if (known !== undefined && known !== mine) {
      const { space: other, width: its } = JSON.parse(known) as VectorSpace;
      throw new TesseraError("SPACE_MISMATCH", `the store holds "${other}" of width ${its}`, {
        path: this.passages,
        hint: "open it with the encoder that it was made with, or give the new one another name",
      });
    }
    await this.#collection(this.passages, [
      { name: "id", ...text, max_length: longestId, is_primary_key: true },
      { name: "passage", ...text, max_length: mostBytes },
      { name: "facts", ...list },
      { name: "access", ...list },
      { name: "numbers", data_type: DataType.JSON },
      { name: "vector", data_type: DataType.FloatVector, dim: width },
    ]);
    if (known === undefined) await this.#keep({ space: mine });
    await this.refresh();
  }

  async #collection(name: string, fields: object[]): Promise<void> {
    const index_params = [{ field_name: "vector", index_type: "AUTOINDEX", metric_type: "IP" }];
    const asked = { collection_name: name, fields, index_params, consistency_level: "Strong" };
    const exists = async () => (await answered(this.client.hasCollection({ collection_name: name }))).value;
    if (!(await exists()))
      try {
        await answered(this.client.createCollection(asked as never));
      } catch (error) {
        if (!(await exists())) throw error; // else another process was faster
      }
    await answered(this.client.loadCollection({ collection_name: name }));
  }

  async #query<R>(collection: string, filter: string, fields: string[]): Promise<R[]> {
    const asked = { collection_name: collection, filter, output_fields: fields, consistency_level: "Strong" };
    return (await answered(this.client.query(asked as never))).data as R[];
  }

  async #read(key: string): Promise<string | undefined> {
    return (await this.#query<{ value: string }>(this.state, inList([key], "key"), ["key", "value"]))[0]?.value;
  }

  async #keep(values: Readonly<Record<string, string>>): Promise<void> {
    const data = Object.entries(values).map(([key, value]) => ({ key, value, vector: [1, 0] }));
    await answered(this.client.upsert({ collection_name: this.state, data }));
  }

  /** Writes of this object come one after another. The revision changes before and after, so that no cache keeps what stood between. */
  #write({ idempotencyKey }: ChangeOptions = {}, work: () => Promise<void>): Promise<void> {
    const written = this.#writes.then(async () => {
      const made = idempotencyKey === undefined ? undefined : `made-${digest(idempotencyKey)}`;
      if (made !== undefined && (await this.#read(made)) !== undefined) return;
      await this.#keep({ revision: this.#next() });
      await work();
      const now = new Date();
      await this.#keep({ revision: this.#next(), ...(made !== undefined && { [made]: now.toISOString() }) });
      if (made !== undefined) await this.#forget(new Date(now.getTime() - keptForDays * 86_400_000));
    });
    this.#writes = written.catch(() => {});
    return written;
  }

  /** Keys of changes are kept for 30 days. */
  async #forget(before: Date): Promise<void> {
    const filter = `key like "made-%" and value < "${before.toISOString()}"`;
    await answered(this.client.delete({ collection_name: this.state, filter }));
  }

  #next(): string {
    this.#revision = `store.milvus:${randomUUID()}`;
    return this.#revision;
  }

  #assertOpen(): void {
    if (!this.#open) throw new TesseraError("CLOSED", "the store is closed");
  }
}

interface Row {
  readonly id: string;
  readonly passage: string;
  readonly score: number;
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 48);

/**
 * A condition on a primary key. JSON's escapes are those of Milvus's texts. The client's own `ids` puts them into the same
 * condition as they are, without escapes (version 3.0.6).
 */
const inList = (ids: readonly string[], column = "id"): string => `${column} in ${JSON.stringify(ids)}`;

/** @throws TesseraError BAD_ARGUMENT where Milvus cannot keep it */
function rowOf(passage: Passage, json: string, path: string): RowData {
  const refuse = (what: string): never => {
    throw new TesseraError("BAD_ARGUMENT", `Milvus cannot keep this passage: ${what}`, { path });
  };
  const { id } = passage;
  if (notKept.test(id) || id === "") refuse("its id is empty, or has a NUL or half a character");
  if (Buffer.byteLength(id) > longestId) refuse(`its id has more than ${longestId} bytes`);
  if (Buffer.byteLength(json) > mostBytes) refuse(`with its metadata it has more than ${mostBytes} bytes`);
  const columns = columnsOf(passage);
  if (Math.max(columns.facts.length, columns.access.length) > mostFacts)
    refuse(`its metadata or its access list has more than ${mostFacts} values`);
  return { id, passage: json, ...columns };
}

interface Status {
  readonly error_code: string | number;
  readonly reason: string;
}

/** An answer of the client, which does not throw where the server refuses: the refusal stands in its status. */
async function answered<T extends object>(answer: Promise<T>): Promise<T> {
  let given: T;
  try {
    given = await answer;
  } catch (cause) {
    throw new TesseraError("STORE_FAILED", `Milvus: ${messageOf(cause)}`, { cause, hint: "is the server there?" });
  }
  const { error_code: code, reason } = ("status" in given ? given.status : given) as Status;
  if (code === "Success" || code === 0) return given;
  throw new TesseraError("STORE_FAILED", `Milvus: ${reason || code}`);
}

const sdk = () => import("@zilliz/milvus2-sdk-node").catch(missing("@zilliz/milvus2-sdk-node"));

async function connect({ address, token, ssl = false, database }: MilvusSettings): Promise<MilvusClient> {
  const { MilvusClient } = await sdk();
  const client = new MilvusClient({
    ...{ address, ssl, logLevel: "error" },
    ...(token !== undefined && { token }),
    ...(database !== undefined && { database }),
  });
  try {
    await client.connectPromise;
    return client;
  } catch (cause) {
    await client.closeConnection().catch(() => {});
    throw new TesseraError("STORE_FAILED", `Milvus at ${address}: ${messageOf(cause)}`, {
      cause,
      hint: "is the server there, and the token right?",
    });
  }
}
