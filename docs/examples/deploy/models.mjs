// the models of this repository as a service: /v1/embeddings, /v1/rerank, /v1/chat/completions, /v1/completions,
// /v1/models, /metrics
import { chooseEngine, findModel, openEncoderService, openLocalLanguageModel } from "@tessera/models";
import { encoderReranker, openaiRoutes } from "@tessera/server/openai";
import fastify from "fastify";

const {
  ENCODER = "code-encoder-2",
  LANGUAGE_MODEL = "code-language-model",
  PORT = "8080",
  TESSERA_ENGINE = "auto",
} = process.env;
const { engine, reason, close } = await chooseEngine(TESSERA_ENGINE);
console.log(reason);
const encoder = await openEncoderService(await findModel(ENCODER), { engine });
const languageModel = await openLocalLanguageModel(await findModel(LANGUAGE_MODEL), engine);
const app = fastify({
  // a body that comes slowly is cut off; the time for the head must be the shorter one
  requestTimeout: 30_000,
  http: { headersTimeout: 10_000 },
  forceCloseConnections: "idle",
});
app.get("/healthz", async () => ({ ok: true }));
// the port is opened once the models are loaded: what answers is ready
await app.register(openaiRoutes, {
  encoders: { [ENCODER]: encoder },
  rerankers: { [ENCODER]: encoderReranker(encoder, { kind: "code" }) },
  languageModels: { [LANGUAGE_MODEL]: languageModel },
});
console.log(await app.listen({ host: "0.0.0.0", port: Number(PORT) }));

process.once("SIGTERM", async () => {
  await app.close();
  await Promise.all([encoder.close(), languageModel.close()]);
  await close();
});
