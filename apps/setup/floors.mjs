// the floors of the house: which package may stand on which, and what each may bring from outside, with the reason

const operators = ["data", "indexer", "query", "retriever", "reranker", "router", "fuser", "generator", "coder"];
const library = ["core", "text", "graph", "models", "stores", ...operators, "mcp", "flows", "langchain"];

/** The workspace packages that a package may depend on. What is not here may depend on none; an app may on all. */
export const floors = {
  core: [],
  text: [],
  // the scaffold: it writes files, and runs nothing of ours
  "create-tessera": [],
  // trained weights: bundles, and where they lie
  weights: [],
  graph: ["core"],
  models: ["core", "text", "weights"],
  stores: ["core", "text"],
  ...Object.fromEntries(operators.map((name) => [name, ["core", "text"]])),
  // tools and resources of other systems; its operators belong to the catalogue
  mcp: ["core"],
  flows: ["core", ...operators, "mcp"],
  langchain: ["core", "graph"],
  "ai-sdk": ["core"],
  // connections to PostgreSQL have one home, the stores
  durable: ["core", "graph", "stores"],
  telemetry: ["core", "graph"],
  tessera: library,
  // evaluation measures the product as it is composed, and runs single operators; nothing stands on it but apps
  eval: ["core", "text", "graph", "models", "stores", ...operators, "mcp", "flows", "tessera"],
  testkit: ["core", "text"],
};

/** In tests, besides: what every package may use, what runs a flow, and what an operator searches. */
export const forTests = ["setup", "testkit", "graph", "stores"];

/** The third-party packages of each package's sources (apps are free). Native ones are optional and loaded lazily. */
export const allowed = {
  core: { zod: "the language of every contract" },
  graph: { eventemitter3: "events" },
  indexer: {
    ignore: "the semantics of .gitignore",
    parse5: "reads HTML as browsers do",
    "web-tree-sitter": "syntax trees for the code chunker",
    "@vscode/tree-sitter-wasm": "grammars, compiled",
    chardet: "tells the encoding of a text that is no Unicode",
    "csv-parse": "the rows of CSV with the lines they stand on",
    fflate: "unpacks ZIP, the container of DOCX, PPTX, XLSX, ODT and EPUB",
    htmlparser2: "reads XML without entities of its own",
    "jsonc-parser": "JSON with the places of its values, and with comments",
    numfmt: "number formats of spreadsheets: dates as they are shown",
    "postal-mime": "reads messages of e-mail",
    unpdf: "pdf.js without a browser: the text of PDF",
    yaml: "YAML with the places of its values",
  },
  query: { "sql.js": "runs the SQL that text becomes, on a SQLite that cannot write" },
  stores: {
    "hnswlib-node": "the hnsw store",
    pg: "the postgres store's connections",
    "@zilliz/milvus2-sdk-node": "the milvus store's client, of who makes Milvus",
  },
  coder: {
    "@jitl/quickjs-wasmfile-release-sync": "the engine of the sandbox for JavaScript",
    "quickjs-emscripten-core": "its interface",
    sucrase: "strips the types of generated TypeScript",
    "web-tree-sitter": "syntax trees of generated code",
    "@vscode/tree-sitter-wasm": "grammars, compiled",
  },
  models: {
    "@huggingface/hub": "fetches models of the hub",
    "@huggingface/jinja": "chat templates of models",
    "@huggingface/tokenizers": "reads tokenizer.json",
    "@huggingface/transformers": "computes ONNX models where a user installs it",
    "eventsource-parser": "server-sent events of remote models",
    "node-llama-cpp": "computes GGUF files where a user installs it",
    "onnxruntime-node": "the cpu engine",
    webgpu: "the gpu engine",
  },
  langchain: {
    "@langchain/core": "the other side of the bridge",
    "hnswlib-node": "LangChain's HNSWLib store, in tests",
  },
  "ai-sdk": { "@ai-sdk/provider": "the types of the other side of the bridge" },
  mcp: { "@modelcontextprotocol/sdk": "the official client, which users add where they want it" },
  durable: {
    "@dbos-inc/dbos-sdk": "queues, ownership and recovery",
    eventemitter3: "the events of a run",
  },
  telemetry: { "@opentelemetry/api": "traces; the SDK and the exporter are the service's own" },
  testkit: { "@jest/globals": "the suites it offers", "fast-check": "random histories in these suites" },
};

/** What becomes a part of a package's build: it stands under devDependencies, and nobody who uses the package installs it. */
export const bundled = {
  text: {
    "@orama/stemmers": "Snowball's stems of some twenty languages; its package is 4 MB, and what we run of it 0.2",
  },
};

/** What a package's tests may use from outside, besides jest and fast-check. */
export const allowedInTests = {
  core: { ajv: "the oracle of JSON Schema" },
  models: { ajv: "the oracle of JSON Schema" },
  tessera: { eventemitter3: "what a caller listens to" },
  telemetry: {
    "@opentelemetry/exporter-trace-otlp-http": "the official exporter",
    "@opentelemetry/sdk-trace-node": "the official SDK",
    eventemitter3: "what a caller listens to",
    zod: "config of the operators under test",
  },
  "ai-sdk": { ai: "the real thing, and its mock models" },
  mcp: {
    "@modelcontextprotocol/server-everything": "a reference server",
    "@modelcontextprotocol/server-filesystem": "a reference server",
    "@modelcontextprotocol/server-memory": "a reference server",
  },
  langchain: { langchain: "the real thing", "@langchain/community": "the real HNSWLib store" },
  stores: {
    "@electric-sql/pglite": "a PostgreSQL within the process",
    "@electric-sql/pglite-pgvector": "its vectors",
    "@types/pg": "its types",
  },
  retriever: {
    "@electric-sql/pglite": "a PostgreSQL within the process",
    "@electric-sql/pglite-pgvector": "its vectors",
  },
  durable: { "@electric-sql/pglite": "a PostgreSQL within the process" },
};

/** Compiled on the machine or downloaded for it: never required. */
export const native = ["hnswlib-node", "onnxruntime-node", "webgpu", "better-sqlite3"];
