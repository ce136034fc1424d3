import { TesseraError } from "@tessera/core";
import { z } from "zod";
import type { EncoderModel, Frame } from "../architectures/encoder.js";
import type { Checkpoint } from "./checkpoint.js";

/** What the files beside a model's weights say of how a text becomes one vector. */
export interface SentenceSettings {
  readonly pooling: EncoderModel["pooling"];
  readonly frames: EncoderModel["frames"];
}

const modules = z.array(z.looseObject({ type: z.string(), path: z.string().default("") }));
const poolingConfig = z.looseObject({ pooling_mode: z.string().optional(), include_prompt: z.literal(true).nullish() });
const bodyConfig = z.looseObject({ max_seq_length: z.int().min(3).nullish() });
const promptsConfig = z.looseObject({
  prompts: z.record(z.string(), z.string().nullable()).nullish(),
  default_prompt_name: z.string().nullish(),
});
const tokenizerConfig = z.looseObject({ model_max_length: z.number().nullish() });

/** The flag of 1_Pooling/config.json, or the value of its `pooling_mode`, that each way of pooling has. */
const poolingModes = {
  mean: "mean",
  cls: "first",
  lasttoken: "last",
  // another length, the same direction
  mean_sqrt_len_tokens: "mean",
} as const;

/**
 * Pooling, lengths and prompts of a folder of the sentence-transformers layout; without such files the mean over all
 * tokens. Vectors have unit length here whatever the list of modules says, since they are compared by cosine.
 * @throws TesseraError BAD_BUNDLE for a module or a pooling that is not computed here
 */
export async function sentenceSettings(checkpoint: Checkpoint, positions: number): Promise<SentenceSettings> {
  const read = async <T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    const value = await checkpoint.json(file);
    if (value === undefined) return undefined;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new TesseraError("BAD_BUNDLE", z.prettifyError(parsed.error), { path: `${checkpoint.path}/${file}` });
  };
  const listed = await read("modules.json", modules);
  for (const { type } of listed ?? [])
    if (!/\.(?:Transformer|Pooling|Normalize)$/.test(type))
      throw new TesseraError(
        "BAD_BUNDLE",
        `the module ${type} is not computed here; Transformer, Pooling and Normalize are`,
        {
          path: `${checkpoint.path}/modules.json`,
        },
      );
  const folder = listed?.find(({ type }) => type.endsWith(".Pooling"))?.path ?? "1_Pooling";
  const pooling = await read(`${folder}/config.json`, poolingConfig);
  const length = (await read("sentence_bert_config.json", bodyConfig))?.max_seq_length;
  const asked = length ?? (await read("tokenizer_config.json", tokenizerConfig))?.model_max_length ?? positions;
  const { prompts, default_prompt_name: usual } =
    (await read("config_sentence_transformers.json", promptsConfig)) ?? {};
  const { before, after } = marksOf(await checkpoint.tokenizer());
  const frame = (...names: string[]): Frame => {
    const name = [...names, usual ?? ""].find((candidate) => prompts?.[candidate]);
    return {
      prompt: (name && prompts?.[name]) || undefined,
      before,
      after,
      maxTokens: Math.max(before.length + after.length + 1, Math.min(asked, positions)),
    };
  };
  const passage = frame("document", "passage", "corpus");
  return {
    pooling: pooling ? poolingOf(pooling, `${checkpoint.path}/${folder}/config.json`) : "mean",
    frames: { query: frame("query"), text: passage, code: passage },
  };
}

function poolingOf(config: z.infer<typeof poolingConfig>, path: string): EncoderModel["pooling"] {
  const flags = Object.entries(config).flatMap(([name, value]) =>
    name.startsWith("pooling_mode_") && value === true ? [name.slice("pooling_mode_".length)] : [],
  );
  const asked = config.pooling_mode === undefined ? flags : config.pooling_mode.split("+");
  const names = asked
    .map((name) => name.replace(/_tokens?$/, ""))
    .map((name) => (name === "mean_sqrt_len" ? "mean_sqrt_len_tokens" : name));
  const found = names.length === 1 ? poolingModes[names[0] as keyof typeof poolingModes] : undefined;
  if (found) return found;
  throw new TesseraError("BAD_BUNDLE", `the pooling ${asked.join(" + ") || "none"} is not computed here`, {
    path,
    hint: "mean, cls and lasttoken are",
  });
}

const marked = z.looseObject({
  post_processor: z
    .looseObject({
      type: z.string(),
      single: z.array(z.record(z.string(), z.looseObject({ id: z.string() }))).optional(),
      special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int().nonnegative()) })).optional(),
      cls: z.tuple([z.string(), z.int().nonnegative()]).optional(),
      sep: z.tuple([z.string(), z.int().nonnegative()]).optional(),
      processors: z.array(z.unknown()).optional(),
    })
    .nullish(),
});

/**
 * The ids that a tokenizer.json puts before and after one text.
 * @throws TesseraError BAD_BUNDLE
 */
export function marksOf({ document, path }: { readonly document: string; readonly path: string }): {
  readonly before: readonly number[];
  readonly after: readonly number[];
} {
  const bad = (cause?: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", "the post_processor of the tokenizer is not read", { path, cause });
  let parsed: z.infer<typeof marked>;
  try {
    parsed = marked.parse(JSON.parse(document));
  } catch (cause) {
    throw bad(cause);
  }
  const { post_processor: processor } = parsed;
  if (!processor || processor.type === "ByteLevel") return { before: [], after: [] };
  if (processor.type === "Sequence") {
    const inner = (processor.processors ?? []).map((each) =>
      marksOf({ document: JSON.stringify({ post_processor: each }), path }),
    );
    return { before: inner.flatMap(({ before }) => before), after: inner.flatMap(({ after }) => after) };
  }
  if (processor.cls && processor.sep) return { before: [processor.cls[1]], after: [processor.sep[1]] };
  if (processor.type !== "TemplateProcessing" || !processor.single) throw bad();
  const ids = processor.single.map((piece) => {
    const [[kind, { id }]] = Object.entries(piece) as [[string, { id: string }]];
    return kind === "Sequence" ? undefined : (processor.special_tokens?.[id]?.ids ?? []);
  });
  const text = ids.indexOf(undefined);
  if (text < 0) throw bad();
  return { before: ids.slice(0, text).flatMap((id) => id ?? []), after: ids.slice(text + 1).flatMap((id) => id ?? []) };
}
