// public: defineConfig, TesseraConfig, EndpointSettings, LlamaCppModelSettings, ModelSettings
// public: EncoderEndpointSettings, EncoderSettings, RerankerEndpointSettings, RerankerSettings
import type { AnyOperator, Encoder, Flow, FlowDocument, Json, LanguageModel, Reranker, Store } from "@tessera/core";
import type { McpServer, McpSettings } from "@tessera/mcp";
import type { EndpointEncoderOptions, EndpointRerankerOptions } from "@tessera/models";

/** A language model behind an address. */
export interface EndpointSettings {
  /**
   * What the service speaks: OpenAI's chat completions (the default), OpenAI's responses, or Ollama's own chat, whose
   * address ends before "/api".
   */
  readonly form?: "chat" | "responses" | "ollama";
  /** Up to and with the version: "http://127.0.0.1:11434/v1". */
  readonly endpoint: string;
  /** The name of the model there. */
  readonly model: string;
  /** The environment variable that holds the key; "OPENAI_API_KEY" by default. It may stand in `.env`. */
  readonly keyVariable?: string;
  /** What the service can do beside text; nothing is assumed. */
  readonly capabilities?: readonly ("logprobs" | "prefix" | "json" | "seed")[];
  /** Fields that are never sent, such as "temperature". */
  readonly omit?: readonly string[];
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How often a request is repeated that was refused for now; 3 by default. */
  readonly retries?: number;
  /** The wait before the first repetition in milliseconds; it doubles. */
  readonly backoffMs?: number;
  /** More fields of every request, as the service documents them. */
  readonly parameters?: { readonly [field: string]: Json };
  /** The longest silence in milliseconds; a minute by default. */
  readonly timeoutMs?: number;
}

/** A language model in a GGUF file that llama.cpp computes; the package node-llama-cpp has to be installed. */
export interface LlamaCppModelSettings {
  readonly file: string;
  readonly engine: "llama.cpp";
  /** All processors but one by default. */
  readonly threads?: number;
  /** Tokens of a prompt and its answer together; those of the model, at most 4,096, by default. */
  readonly context?: number;
  /** Answers that grow at the same time; 2 by default. */
  readonly sequences?: number;
}

/** An encoder behind an address. */
export interface EncoderEndpointSettings extends Omit<EndpointEncoderOptions, "baseUrl" | "apiKey" | "revision"> {
  /** Up to and with the version, where the service has one in its address. */
  readonly endpoint: string;
  /** The environment variable that holds the key; "OPENAI_API_KEY" by default. */
  readonly keyVariable?: string;
}

/** A reranker behind an address. */
export interface RerankerEndpointSettings extends Omit<EndpointRerankerOptions, "baseUrl" | "apiKey" | "revision"> {
  /** Up to and with the version, where the service has one in its address. */
  readonly endpoint: string;
  /** The environment variable that holds the key; "OPENAI_API_KEY" by default. */
  readonly keyVariable?: string;
}

/** An encoder: a name as in `TesseraConfig.encoder`, an endpoint, or, in code, an object or what opens it. */
export type EncoderSettings = string | EncoderEndpointSettings | Encoder | (() => Encoder | Promise<Encoder>);

/** A reranker: the folder of a cross-encoder, an endpoint, or, in code, an object or what opens it. */
export type RerankerSettings = string | RerankerEndpointSettings | Reranker | (() => Reranker | Promise<Reranker>);

/**
 * A language model: the name, folder or GGUF file of a local one ("llama.cpp:<file>" for one that llama.cpp computes), an
 * endpoint, or, in code, an object or what opens it.
 */
export type ModelSettings =
  | string
  | LlamaCppModelSettings
  | EndpointSettings
  | LanguageModel
  | (() => LanguageModel | Promise<LanguageModel>);

/**
 * What the command line and the service work with, in `tessera.config.ts`, `.mjs` or `.json`. Paths are relative to the
 * folder of the file. What stands here can be overridden by options of a command.
 */
export interface TesseraConfig {
  /** The folder that questions are about; the working directory by default. */
  readonly source?: string;
  /** The flow that answers them; by default "rag" where there is a model, else "hybrid". */
  readonly flow?: string;
  /** The model that flows name "model". */
  readonly model?: ModelSettings;
  /** Further models, by the names that flows use. */
  readonly models?: Readonly<Record<string, ModelSettings>>;
  /**
   * What makes the vectors: "hash", a model by its name, folder or file ("llama.cpp:<file>" and "transformers.js:<folder>"
   * for one that such a library computes), or "hash+<model>"; one of `encoders` by its name there; or an endpoint.
   */
  readonly encoder?: EncoderSettings;
  /** Encoders that flows name, beside "encoder", and that `--encoder` can name. */
  readonly encoders?: Readonly<Record<string, EncoderSettings>>;
  /** Rerankers that flows name. */
  readonly rerankers?: Readonly<Record<string, RerankerSettings>>;
  /** Stores that flows name, beside "sparse" and "dense". */
  readonly stores?: Readonly<Record<string, Store | (() => Store | Promise<Store>)>>;
  /**
   * MCP servers by the names that flows use: a command or an address each. In arguments, headers, addresses and the
   * environment `${NAME}` is a variable of the environment or of `.env`.
   */
  readonly mcp?: Readonly<Record<string, McpSettings | McpServer | (() => McpServer | Promise<McpServer>)>>;
  /** Folders that flows may read, by name. */
  readonly folders?: Readonly<Record<string, string>>;
  /**
   * Texts in place of prompts of the catalogue, by the prompt's name ("generator.answer"): paths of files. `tessera prompts`
   * lists them.
   */
  readonly prompts?: Readonly<Record<string, string | { readonly file: string; readonly version?: string }>>;
  /** Flows by name: composed in code, documents, or paths of documents. */
  // biome-ignore lint/suspicious/noExplicitAny: flows of any ports
  readonly flows?: Readonly<Record<string, Flow<any, any> | FlowDocument | string>>;
  /** Operators of one's own, or paths of modules that export them. */
  readonly operators?: readonly (AnyOperator | string)[];
  /** Paths of modules that read further kinds of files. */
  readonly readers?: readonly string[];
}

/** A config with its types checked by the editor: `export default defineConfig({ … })`. */
export const defineConfig = (config: TesseraConfig): TesseraConfig => config;
