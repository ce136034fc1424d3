import { Bm25Store } from "@tessera/stores";

const store = new Bm25Store();
await store.upsert([{ id: "a", text: "The ferry leaves at noon.", metadata: { harbour: "south" } }]);
const [hit] = await store.search({ text: "when does the ferry leave?", top: 3, filter: { harbour: "south" } });
console.log(hit?.passage.text, hit?.score);
