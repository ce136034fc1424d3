import { reflecting } from "./reflecting.js";

/**
 * Self-RAG: before each segment a judge says whether to retrieve; each passage then gives a segment of its own, judges grade
 * its relevance, support and usefulness, and a beam of two keeps the best texts. Asai et al. 2023; Modular RAG, algorithm 7.
 * Retrieval above 0.2, weights 1, 1 and 0.5, five passages, seven segments. Prompted judges stand in for the authors' trained
 * model; the flow "self-rag-tokens" is the one for a model that says reflection tokens.
 */
export const selfRag = reflecting("self-rag");
