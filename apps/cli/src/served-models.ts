import { basename, resolve } from "node:path";
import type { Encoder, LanguageModel } from "@tessera/core";
import { libraryOf } from "@tessera/models/internal";
import type { ServerOptions } from "@tessera/server";
import { encoderReranker } from "@tessera/server/openai";
import type { ModelSettings, OpenedCodebase } from "@tessera/tessera";
import { defaultEncoder, type SourceOptions } from "./codebase.js";
import type { LanguageModelOptions } from "./language-model.js";

const nameOf = (model: string): string => basename(resolve(libraryOf(model).place));

/** The local model of a config. */
function nameIn(configured: ModelSettings | undefined): string | undefined {
  if (typeof configured === "string") return configured;
  return typeof configured === "object" && "file" in configured ? configured.file : undefined;
}

/**
 * The models of this process under the names that clients of `/v1` use: the encoder of the index, also as a reranker, and
 * a language model of ours. What answers at another address is not passed on.
 */
export function servedModels(
  { encoder = defaultEncoder, endpoint, model: named }: Pick<SourceOptions, "encoder"> & LanguageModelOptions,
  configured: ModelSettings | undefined,
  { resources, model: encoderModel }: OpenedCodebase,
  model: LanguageModel | undefined,
): NonNullable<ServerOptions["models"]> {
  const encoders: Record<string, Encoder> = {
    ...(typeof encoder === "string" && { [nameOf(encoder)]: resources.encoder!.encoder as Encoder }),
    ...(encoderModel && { [encoderModel.model.name]: encoderModel }),
  };
  const modelName = named ?? nameIn(configured);
  const own = endpoint === undefined && modelName !== undefined && model !== undefined;
  return {
    encoders,
    rerankers: Object.fromEntries(
      Object.entries(encoders).map(([name, encoder]) => [name, encoderReranker(encoder, { kind: "code" })]),
    ),
    languageModels: own ? { [nameOf(modelName)]: model } : {},
  };
}
