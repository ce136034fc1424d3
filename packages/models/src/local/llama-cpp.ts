import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import type { Llama, LlamaModel, Token, TokenBias } from "node-llama-cpp";
import { type GgufFile, readGguf } from "../formats/gguf.js";
import { revisionOf } from "../formats/stored-weights.js";
import type { LlamaCppFile } from "./settings.js";

/** The release that the adapter was tested with. */
const release = "3.22.1";

/** A model of llama.cpp with its runtime. */
export interface OpenedLlamaCpp {
  readonly name: string;
  /** Changes with the file and with the release. */
  readonly revision: string;
  readonly threads: number;
  readonly model: LlamaModel;
  /** The header of the file, read by us. */
  readonly file: GgufFile;
  /** A setting by which these tokens are never drawn. */
  never(tokens: Iterable<Token>): TokenBias;
  close(): Promise<void>;
}

/** The package with the program for this platform's CPU; those for graphics cards take hundreds of megabytes. */
function platformPackage(): string {
  const { platform, arch } = process;
  const system = { darwin: "mac", win32: "win" }[platform as string] ?? platform;
  const name =
    platform === "darwin" && arch === "arm64" ? "mac-arm64-metal" : `${system}-${arch === "arm" ? "armv7l" : arch}`;
  return `@node-llama-cpp/${name}@${release}`;
}

const install = (): string =>
  `npm install --omit=optional node-llama-cpp@${release} ${platformPackage()}, or npm install node-llama-cpp@${release} for graphics cards too`;

/** The last faults that llama.cpp told; its own errors do not say them. */
const told: string[] = [];

type Library = typeof import("node-llama-cpp");
interface Runtime {
  readonly library: Library;
  readonly llama: Llama;
}

let runtime: { readonly started: Promise<Runtime>; users: number } | undefined;

/** The library, started once for all models of the process. Nothing is downloaded or compiled. */
function acquireRuntime(): Promise<Runtime> {
  runtime ??= { started: startRuntime(), users: 0 };
  runtime.users++;
  return runtime.started;
}

async function releaseRuntime(): Promise<void> {
  if (!runtime || --runtime.users > 0) return;
  const { started } = runtime;
  runtime = undefined;
  await (await started.catch(() => undefined))?.llama.dispose();
}

async function startRuntime(): Promise<Runtime> {
  const library = await import("node-llama-cpp").catch(missing("node-llama-cpp"));
  try {
    const llama = await library.getLlama({
      gpu: false,
      build: "never",
      skipDownload: true,
      progressLogs: false,
      logLevel: library.LlamaLogLevel.error,
      logger: (_, message) => {
        if (told.push(message.trim()) > 4) told.shift();
      },
      // each context has the threads that it was given
      maxThreads: 0,
    });
    return { library, llama };
  } catch (cause) {
    throw new TesseraError("DEPENDENCY_MISSING", `llama.cpp cannot be started: ${messageOf(cause)}`, {
      hint: `install its program for this platform: ${install()}`,
      cause,
    });
  }
}

/**
 * Opens a GGUF file with llama.cpp, on the CPU. Its header is read by us first: llama.cpp may end the process for a damaged
 * one.
 * @throws TesseraError BAD_ARGUMENT; BAD_BUNDLE; DEPENDENCY_MISSING where node-llama-cpp is not installed; MODEL_FAILED
 */
export async function openLlamaCpp({ file: path, threads }: LlamaCppFile): Promise<OpenedLlamaCpp> {
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads > 0))
    throw new TesseraError("BAD_ARGUMENT", `threads is ${threads}`, { path, hint: "use a whole number of 1 or more" });
  const file = await readGguf(path, "any");
  const metadata = createHash("sha256")
    .update(JSON.stringify([...file.metadata]))
    .digest("hex");
  const revision = `${await revisionOf([path], file.tensors, metadata)}-llama.cpp-${release}`;
  try {
    const { llama, library } = await acquireRuntime();
    told.length = 0;
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 }).catch((cause: unknown) => {
      const why = told[0] ?? messageOf(cause);
      throw new TesseraError("MODEL_FAILED", `llama.cpp cannot open the file: ${why}`, { path, cause });
    });
    return {
      name: basename(path).replace(/\.gguf$/i, ""),
      revision,
      threads: threads ?? Math.max(1, availableParallelism() - 1),
      model,
      file,
      never: (tokens) => {
        const bias = new library.TokenBias(model.tokenizer);
        for (const token of tokens) bias.set(token, "never");
        return bias;
      },
      close: async () => {
        await model.dispose();
        await releaseRuntime();
      },
    };
  } catch (error) {
    await releaseRuntime();
    throw error;
  }
}
