// internal: Paper, paperOf

/** The paper of a method: who wrote it when, and its number on arXiv. */
export interface Paper {
  readonly authors: string;
  readonly id: string;
}

/** Papers by flow: authors and year, number on arXiv. */
const papers: Readonly<Record<string, readonly [authors: string, id: string]>> = {
  "adaptive-rag": ["Jeong et al. 2024", "2403.14403"],
  crag: ["Yan et al. 2024", "2401.15884"],
  "chain-of-verification": ["Dhuliawala et al. 2023", "2309.11495"],
  "dr-rag": ["Hei et al. 2024", "2406.07348"],
  flare: ["Jiang et al. 2023", "2305.06983"],
  hyde: ["Gao et al. 2022", "2212.10496"],
  ircot: ["Trivedi et al. 2023", "2212.10509"],
  "iter-retgen": ["Shao et al. 2023", "2305.15294"],
  "multi-head-rag": ["Besta et al. 2024", "2406.05085"],
  planrag: ["Lee et al. 2024", "2406.12430"],
  rag: ["Lewis et al. 2020", "2005.11401"],
  chat: ["Lewis et al. 2020", "2005.11401"],
  replug: ["Shi et al. 2023", "2301.12652"],
  "rq-rag": ["Chan et al. 2024", "2404.00610"],
  rrr: ["Ma et al. 2023", "2305.14283"],
  "self-ask": ["Press et al. 2022", "2210.03350"],
  "self-rag": ["Asai et al. 2023", "2310.11511"],
  "self-rag-tokens": ["Asai et al. 2023", "2310.11511"],
  "step-back": ["Zheng et al. 2023", "2310.06117"],
  sure: ["Kim et al. 2024", "2404.13081"],
  "tree-of-clarifications": ["Kim et al. 2023", "2310.14696"],
  "tune-both": ["Lin et al. 2023", "2310.01352"],
  codechain: ["Le et al. 2023", "2310.08992"],
  "codechain-modules": ["Le et al. 2023", "2310.08992"],
  funcoder: ["Chen et al. 2024", "2405.20092"],
  "self-debug": ["Chen et al. 2023", "2304.05128"],
};
const modularRag = ["Gao et al. 2024", "2407.21059"] as const;
const ownWays = new Set(["best-of-n", "consensus"]);

/** Whose method a flow of the catalogue is. A flow of no method of its own is a pattern of Modular RAG, or ours: then nothing. */
export function paperOf(flow: string): Paper | undefined {
  if (ownWays.has(flow)) return undefined;
  const [authors, id] = papers[flow] ?? modularRag;
  return { authors, id };
}
