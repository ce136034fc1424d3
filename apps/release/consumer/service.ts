// an application: a service over a folder, and a flow with an operator, a store and a reader of its own
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Bm25Store,
  createTessera,
  dense,
  ExactStore,
  extract,
  flow,
  HashEncoder,
  type Hit,
  hits,
  operator,
  type Passage,
  Readers,
  rrf,
  type Store,
  type StoreQuery,
  sparse,
  updateCodebase,
} from "@tessera/tessera";
import { z } from "zod";

/** An operator of one's own. */
const atLeast = operator({
  name: "app.at-least",
  version: 1,
  about: { module: "post-retrieval", submodule: "selection", summary: "Keeps hits of a least score." },
  config: z.strictObject({ least: z.number() }),
  ports: { input: { hits }, output: { hits } },
  effects: "none",
  setup:
    ({ least }) =>
    (input) => ({ hits: input.hits.filter((hit: Hit) => hit.score >= least) }),
});

const hybrid = flow("hybrid", { query: "text" }, (f, { query }) => {
  const { hits: words } = f.node("words", sparse({ store: "sparse", top: 5 }), { query });
  const { hits: vectors } = f.node("vectors", dense({ store: "dense", encoder: "encoder", top: 5 }), { query });
  const { hits: fused } = f.node("fused", rrf(), { lists: [words, vectors] });
  const { hits: kept } = f.node("kept", atLeast({ least: 0 }), { hits: fused });
  const { answer, text } = f.node("answer", extract(), { query, hits: kept });
  return { answer, text };
});

/** A store of one's own: it finds what was given to it last. */
class LastStore implements Store {
  readonly #passages = new Map<string, Passage>();

  readonly revision = "1";

  async search({ top }: StoreQuery): Promise<Hit[]> {
    return [...this.#passages.values()]
      .reverse()
      .slice(0, top)
      .map((passage, rank) => ({ passage, score: 1 / (rank + 1), provenance: [] }));
  }
  async upsert(passages: readonly Passage[]): Promise<void> {
    for (const passage of passages) this.#passages.set(passage.id, passage);
  }
  async delete(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#passages.delete(id);
  }
  async close(): Promise<void> {}
}

const latest = flow("latest", { query: "text" }, (f, { query }) => {
  const { hits: found } = f.node("find", sparse({ store: "last", top: 1 }), { query });
  return { hits: found };
});

const passages: Passage[] = [
  { id: "a", text: "The heron waits in the reeds.\nIt eats fish.", metadata: {} },
  { id: "b", text: "The ferry leaves at noon from the southern pier.", metadata: {} },
];

async function inMemory(): Promise<string> {
  const encoder = new HashEncoder();
  encoder.fit(passages.map(({ text }) => text));
  const words = new Bm25Store();
  await words.upsert(passages);
  const last = new LastStore();
  await last.upsert(passages);
  const vectors = new ExactStore({ space: encoder.space(), width: encoder.width });
  await vectors.upsert(
    passages,
    await encoder.encode(
      passages.map(({ text }) => text),
      { kind: "text" },
    ),
  );
  const tessera = createTessera({
    flows: { hybrid, latest },
    operators: [atLeast],
    resources: { store: { sparse: words, dense: vectors, last }, encoder: { encoder } },
  });
  const { output } = await tessera.run("hybrid", { query: "when does the ferry leave?" });
  const own = await tessera.run("latest", { query: "anything" });
  await tessera.close();
  return `${output.text} ${own.output.hits[0]?.passage.id}`;
}

async function overHttp(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-consumer-"));
  await writeFile(join(folder, "notes.md"), "# Boats\n\nThe ferry leaves at noon.\n");
  await writeFile(join(folder, "log.tide"), "high 12:00 the ferry leaves at noon\n");
  const readers = await Readers.open({ modules: [join(import.meta.dirname, "reader.js")] });
  const { resources, close } = await updateCodebase({ root: folder, folder: join(folder, ".index"), readers });
  const tessera = await createTessera({
    flows: { hybrid },
    operators: [atLeast],
    resources,
  }).start();
  const server = createServer(async (request, response) => {
    const query = new URL(request.url ?? "/", "http://localhost").searchParams.get("q") ?? "";
    const { output } = await tessera.run("hybrid", { query });
    response.end(output.answer.text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/?q=when+does+the+ferry+leave`).then((one) => one.text());
  server.close();
  await tessera.close();
  await close();
  await readers.close();
  await rm(folder, { recursive: true });
  return answer;
}

console.log(JSON.stringify({ memory: await inMemory(), http: await overHttp() }));
