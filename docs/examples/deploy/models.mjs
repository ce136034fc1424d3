// the encoder of this repository as a service: /v1/embeddings, /v1/rerank, /v1/models, /metrics
import { findModel, openEncoderService } from "@tessera/models";
import { encoderReranker, openaiRoutes } from "@tessera/server/openai";
import fastify from "fastify";

const { MODEL_FOLDER, PORT = "8080" } = process.env;
const encoder = await openEncoderService(MODEL_FOLDER ?? (await findModel()));
const app = fastify({
  // a body that comes slowly is cut off; the time for the head must be the shorter one
  requestTimeout: 30_000,
  http: { headersTimeout: 10_000 },
  forceCloseConnections: "idle",
});
app.get("/healthz", async () => ({ ok: true }));
// the port is opened once the model is loaded: what answers is ready
await app.register(openaiRoutes, {
  encoders: { "code-encoder": encoder },
  rerankers: { "code-encoder": encoderReranker(encoder, { kind: "code" }) },
});
await app.listen({ host: "0.0.0.0", port: Number(PORT) });

process.once("SIGTERM", async () => {
  await app.close();
  await encoder.close();
});
