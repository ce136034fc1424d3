import { flow } from "@tessera/core";
import { ensemble } from "@tessera/fuser";
import { dense } from "@tessera/retriever";

/**
 * REPLUG: each of ten passages is read by itself, and what they say is weighted by the softmax of their similarities,
 * token by token where the model allows it, and else answer by answer; a passage whose call fails takes no part, and is
 * named. Shi et al. 2023; Modular RAG, equations 23 and 24.
 */
export const replug = flow("replug", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", dense({ store: "dense", encoder: "encoder", top: 10 }), { query });
  const fused = f.node("fuse", ensemble({ model: "model", hits: 10 }), { query, hits });
  return { answer: fused.answer, confidence: fused.confidence, level: fused.level, failed: fused.failed, hits };
});
