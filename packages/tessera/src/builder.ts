// public: *
// What an application needs beside createTessera(), from one import. Operators of one name in two packages, such as
// the two `extract`, are told apart by their package: `coder.extract()`.
export * as coder from "@tessera/coder";
export * from "@tessera/core";
export * as data from "@tessera/data";
export * as fuser from "@tessera/fuser";
export { rrf } from "@tessera/fuser";
export * as generator from "@tessera/generator";
export { extract } from "@tessera/generator";
export * from "@tessera/graph";
export * as indexer from "@tessera/indexer";
export {
  type Block,
  type ReadDocument,
  type Reader,
  type ReaderContext,
  type ReaderFile,
  Readers,
  UnreadFile,
} from "@tessera/indexer";
export * as mcp from "@tessera/mcp";
export * from "@tessera/models";
export * as query from "@tessera/query";
export * as reranker from "@tessera/reranker";
export * as retriever from "@tessera/retriever";
export { dense, hybrid, sparse } from "@tessera/retriever";
export * as router from "@tessera/router";
export * from "@tessera/stores";
