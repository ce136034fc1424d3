import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { DecoderModel } from "../architectures/decoder.js";
import { decoderModel } from "../architectures/tessera-decoder.js";
import { likeliest, logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { type Tensor, writeShards } from "./safetensors.js";

/** Tokens that a golden case is continued by; the trainer writes 32. */
const continued = 4;
/** The longest golden case that is computed here: the reference reads it again for every token. */
const longestCase = 24;

interface DecoderFiles {
  /** config.json without format, hashes and files. */
  readonly config: Readonly<Record<string, unknown>> & { readonly name: string; readonly architecture: string };
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Inputs of the golden cases; the reference computes the rest. */
  readonly cases: readonly { readonly name: string; readonly ids: readonly number[] }[];
  /** Other files by name: tokenizer.json, CARD.md. */
  readonly others: ReadonlyMap<string, string | Uint8Array>;
}

/**
 * Writes a decoder's bundle beside its place and moves it there whole.
 * @throws TesseraError CONFLICT where something is there already
 */
export async function writeDecoderBundle(
  folder: string,
  { config, tensors, cases, others }: DecoderFiles,
): Promise<void> {
  if (existsSync(folder))
    throw new TesseraError("CONFLICT", "something is at this place already", {
      path: folder,
      hint: "name another folder, or remove this one",
    });
  const { name, architecture } = config;
  const model = decoderModel({ folder, name, architecture, revision: "", config, tensors });
  const golden = cases.map(({ name, ids }) => {
    const short = ids.slice(0, longestCase);
    return { name, ids: short, ...goldenCase(model, short) };
  });
  const files = new Map<string, string | Uint8Array>([
    ...writeShards(tensors, 15 * 1024 * 1024),
    ["golden.json", `${JSON.stringify({ cases: golden })}\n`],
    ...others,
  ]);
  const partial = `${folder}.writing`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const hashes: Record<string, string> = {};
  for (const [file, content] of files) {
    await writeFile(join(partial, file), content);
    hashes[file] = createHash("sha256").update(content).digest("hex");
  }
  const { format: _, formatVersion: __, files: ___, ...rest } = config;
  const document = { format: "tessera-bundle", formatVersion: 1, ...rest, files: hashes };
  await writeFile(join(partial, "config.json"), `${JSON.stringify(document, undefined, 2)}\n`);
  await rename(partial, folder);
}

/** What golden.json holds of one sequence, by the reference. */
function goldenCase(model: DecoderModel, ids: readonly number[]): Record<string, unknown> {
  const reading = readSequence(model, ids);
  const last = reading.logits.at(-1)!;
  const greedy = [likeliest(last)];
  while (greedy.length < continued) greedy.push(likeliest(readSequence(model, [...ids, ...greedy]).logits.at(-1)!));
  const best = [...last.keys()].sort((a, b) => last[b]! - last[a]! || a - b).slice(0, 20);
  const routed = model.layers[0]!.attention.routing.kind === "learned";
  return {
    logprobs: ids.slice(1).map((id, t) => logSoftmax(reading.logits[t]!)[id]!),
    argmax: ids.slice(1).map((_, t) => likeliest(reading.logits[t]!)),
    last: best.map((id) => [id, last[id]!]),
    ...(routed && {
      attention: reading.attention,
      feedforward: reading.feedforward,
      // a router that takes all its modules has no margin
      margin: reading.margin.map((gap) => Math.min(gap, 1)),
    }),
    greedy,
  };
}

/** The files of a bundle that another takes over as they are. */
export async function copiedFiles(folder: string, names: readonly string[]): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of names) if (existsSync(join(folder, name))) files.set(name, await readFile(join(folder, name)));
  return files;
}
