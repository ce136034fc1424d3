// internal: optionalParts, installCommand, missing
import { messageOf, TesseraError } from "./errors.js";

/** A part of Tessera that needs packages which an application installs only if it uses the part. */
interface OptionalPart {
  /** What the part does: the subject of the error where a package is missing. */
  readonly part: string;
  /** The packages, each with the version that the tests of Tessera run. An empty version is that of Tessera itself. */
  readonly packages: Readonly<Record<string, string>>;
  /** What to do if the packages cannot be had, or what else they need. */
  readonly otherwise?: string;
}

/**
 * Every optional part of Tessera. Its packages are optional peer dependencies of the package that loads them: no package
 * manager installs them by itself.
 */
export const optionalParts: readonly OptionalPart[] = [
  {
    part: "The CPU engine of local models",
    packages: { "onnxruntime-node": "1.30.0" },
    otherwise:
      "with --ignore-scripts where its install script cannot download what only CUDA needs; or use another engine",
  },
  { part: "The GPU engine of local models", packages: { webgpu: "0.6.2" }, otherwise: "or use the CPU engine" },
  {
    part: "Models by llama.cpp (GGUF)",
    packages: { "node-llama-cpp": "3.22.1" },
    otherwise:
      "with --omit=optional and @node-llama-cpp/<platform>-<arch> it takes less room and serves processors alone",
  },
  { part: "Models by transformers.js (ONNX)", packages: { "@huggingface/transformers": "4.3.2" } },
  { part: "Fetching models of the Hugging Face hub", packages: { "@huggingface/hub": "2.17.5" } },
  { part: "Tokenizers that Tessera does not read itself", packages: { "@huggingface/tokenizers": "0.2.0" } },
  { part: "Chat templates of models", packages: { "@huggingface/jinja": "0.5.11" } },
  { part: "MCP servers", packages: { "@modelcontextprotocol/sdk": "1.32.2" } },
  { part: "The models that come with Tessera", packages: { "@tessera/weights": "" } },
  {
    part: "Vector search on a graph (HNSW)",
    packages: { "hnswlib-node": "3.0.0" },
    otherwise: "it is compiled on your machine, with a C++ compiler; or use the exact store",
  },
  { part: "PostgreSQL", packages: { pg: "8.23.1" } },
  { part: "Milvus", packages: { "@zilliz/milvus2-sdk-node": "3.0.6" } },
  { part: "SQLite", packages: { "sql.js": "1.16.0" } },
  { part: "PDF", packages: { unpdf: "1.8.1" } },
  { part: "HTML", packages: { parse5: "8.1.1" } },
  { part: "CSV", packages: { "csv-parse": "7.0.3" } },
  { part: "JSON", packages: { "jsonc-parser": "3.3.1" } },
  { part: "YAML", packages: { yaml: "2.9.1" } },
  { part: "Packed files (DOCX, PPTX, XLSX, ODT, EPUB)", packages: { fflate: "0.8.3" } },
  { part: "XML", packages: { htmlparser2: "12.0.0" } },
  { part: "The numbers of spreadsheets", packages: { numfmt: "4.0.1" } },
  { part: "E-mail", packages: { "postal-mime": "4.0.0" } },
  { part: "Text that is not Unicode", packages: { chardet: "2.2.0" } },
  {
    part: "Syntax trees of code",
    packages: { "web-tree-sitter": "0.27.2", "@vscode/tree-sitter-wasm": "0.3.1" },
  },
  {
    part: "The sandbox for JavaScript",
    packages: { "quickjs-emscripten-core": "0.32.0", "@jitl/quickjs-wasmfile-release-sync": "0.32.0" },
  },
  { part: "Running generated TypeScript", packages: { sucrase: "3.35.1" } },
  { part: "Runs on PostgreSQL", packages: { "@tessera/durable": "" } },
  {
    part: "Traces of the command line",
    packages: {
      "@opentelemetry/exporter-trace-otlp-http": "0.223.1",
      "@opentelemetry/resources": "2.12.0",
      "@opentelemetry/sdk-trace-node": "2.12.0",
    },
  },
];

const partOf = (name: string): OptionalPart => {
  const found = optionalParts.find(({ packages }) => Object.hasOwn(packages, name));
  if (!found) throw new Error(`${name} is in no row of the optional parts`);
  return found;
};

/** The command that installs what a part needs. */
export const installCommand = ({ packages }: OptionalPart): string =>
  `npm install ${Object.entries(packages)
    .map(([name, version]) => (version === "" ? name : `${name}@${version}`))
    .join(" ")}`;

const notFound = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

/** Whether it says that a package is not installed, and not that something inside of it is missing or broken. */
const isAbsent = (cause: unknown, names: readonly string[]): boolean => {
  const { code, moduleName } = (cause ?? {}) as { code?: unknown; moduleName?: unknown };
  if (!notFound.has(String(code))) return false;
  const message = messageOf(cause);
  return names.some(
    (name) => moduleName === name || [`'${name}'`, `'${name}/`].some((quoted) => message.includes(quoted)),
  );
};

/**
 * What to do where the import of an optional package fails: `await import("pg").catch(missing("pg"))`. The `catch` stands
 * at the import, because bundlers then accept that the package is absent.
 * @throws TesseraError DEPENDENCY_MISSING, with the command that installs the package.
 */
export const missing =
  (name: string, path?: string) =>
  (cause: unknown): never => {
    const part = partOf(name);
    const names = Object.keys(part.packages);
    const needed = `${names.length > 1 ? "the packages" : "the package"} ${names.join(" and ")}`;
    const message = isAbsent(cause, names)
      ? `${part.part}: this needs ${needed}, which ${names.length > 1 ? "are" : "is"} not installed`
      : `${part.part}: ${needed} cannot be loaded: ${messageOf(cause).split("\n", 1)[0]}`;
    const hint = [installCommand(part), ...(part.otherwise ? [part.otherwise] : [])].join("; ");
    throw new TesseraError("DEPENDENCY_MISSING", message, { path, hint, cause });
  };
