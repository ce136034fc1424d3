import { openTransformersEncoder } from "./transformers-encoder.js";
import { openTransformersReranker } from "./transformers-reranker.js";

// `node transformers.fixture.ts ENCODER RERANKER JSON`: vectors of texts and scores of a query's texts, as JSON. In jest what
// a native library makes is of another realm, and ONNX Runtime tells arrays by their class.
const [encoderFolder, rerankerFolder, asked] = process.argv.slice(2) as [string, string, string];
const { texts, query, passages } = JSON.parse(asked) as Record<"texts" | "passages", string[]> & { query: string };
const encoder = await openTransformersEncoder({ folder: encoderFolder, threads: 1 });
const reranker = await openTransformersReranker({ folder: rerankerFolder, threads: 1 });
const vectors = await encoder.encode(texts, { kind: "text" });
const scores = await reranker.rank(query, passages);
const { name, width } = encoder;
await Promise.all([encoder.close(), reranker.close()]);
process.stdout.write(JSON.stringify({ name, width, vectors: vectors.map((vector) => [...vector]), scores }));
