import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LanguageModel, TesseraError } from "@tessera/core";
import { cpuEngine, openLlamaCppModel, openLocalLanguageModel } from "@tessera/models";
import { openEncoderModel, ragged } from "@tessera/models/internal";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Report } from "./measure/report.js";
import { ResumedRows, type Work } from "./measure/resumed-rows.js";

const answerTokens = 48;
const fileName = "SmolLM2-135M-Instruct.Q4_1.gguf";
const together = 8;
const prefixTokens = 1500;

interface Closable extends LanguageModel {
  count?(text: string): number;
  close(): Promise<void>;
}

type Opener = (file: string, threads: number, sequences: number) => Promise<Closable>;
const openers: Readonly<Record<string, Opener>> = {
  ours: (file, threads) => openLocalLanguageModel(file, cpuEngine({ workers: threads })),
  "llama.cpp": (file, threads, sequences) => openLlamaCppModel({ file, threads, sequences, context: 2560 }),
};

const source = readFileSync(fileURLToPath(new URL("../../../docs/design.md", import.meta.url)), "utf8");

/** Text of this repository of about so many tokens, each time another part: nothing of it was read before. */
function textOf(model: Closable, tokens: number, round: number): string {
  const from = (round * 977) % 4000;
  let to = from + tokens * 3;
  while (model.count!(source.slice(from, to)) < tokens && to < source.length) to += 40;
  return `${round}\n${source.slice(from, to)}`;
}

const answer = async (model: LanguageModel, content: string, maxTokens: number): Promise<void> => {
  for await (const _ of model.generate({
    messages: [{ role: "user", content }],
    maxTokens,
    temperature: 0.7,
    seed: 1,
  }));
};

/** Works of one answer at a time. */
const alone: readonly { readonly name: string; readonly tokens: number; readonly rounds: number }[] = [
  { name: "reading 512 tokens", tokens: 512, rounds: 7 },
  { name: "reading 2,000 tokens", tokens: 2000, rounds: 5 },
];
const opening = "open and first token";
const writing = `writing ${answerTokens} tokens`;
const batch = `writing ${together} × ${answerTokens} tokens behind ${prefixTokens} that all share`;
const busy = `${writing}, 8 busy processes beside it`;

async function openAll(file: string, threads: number, sequences: number): Promise<Record<string, Closable>> {
  const models: Record<string, Closable> = {};
  for (const [who, open] of Object.entries(openers)) {
    models[who] = await open(file, threads, sequences);
    await answer(models[who], "Hi", 1);
  }
  return models;
}

const byAll = (
  models: Record<string, Closable>,
  run: (model: Closable, round: number) => Promise<unknown>,
): Work["systems"] =>
  Object.fromEntries(Object.entries(models).map(([who, model]) => [who, (round: number) => run(model, round)]));

const closeAll = async (models: Record<string, Closable>): Promise<void> => {
  await Promise.all(Object.values(models).map((model) => model.close()));
};

async function decoderRows(rows: ResumedRows, file: string, threads: number): Promise<void> {
  const system = `SmolLM2-135M-Instruct Q4_1, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
  const tell = (round: number): string => `Tell a story about number ${round}.`;
  if (!rows.has(system, [opening, writing, ...alone.map(({ name }) => name)])) {
    const openAndAnswer = (open: Opener) => async () => {
      const model = await open(file, threads, 1);
      await answer(model, "Hi", 1);
      await model.close();
    };
    const systems = Object.fromEntries(Object.entries(openers).map(([who, open]) => [who, openAndAnswer(open)]));
    await rows.row(system, { name: opening, rounds: 5, systems });
  } else await rows.row(system, { name: opening, rounds: 5, systems: {} });
  const models = rows.has(system, [writing, ...alone.map(({ name }) => name)]) ? {} : await openAll(file, threads, 1);
  for (const { name, tokens, rounds } of alone) {
    const systems = byAll(models, (model, round) => answer(model, textOf(model, tokens, round), 1));
    await rows.row(system, { name, units: { count: tokens, of: "tokens" }, rounds, systems });
  }
  const units = { count: answerTokens, of: "tokens" };
  await rows.row(system, {
    ...{ name: writing, units, rounds: 7 },
    systems: byAll(models, (model, round) => answer(model, tell(round), answerTokens)),
  });
  await closeAll(models);
  const many = rows.has(system, [batch]) ? {} : await openAll(file, threads, together);
  await rows.row(system, {
    ...{ name: batch, units: { count: together * answerTokens, of: "tokens" }, rounds: 5 },
    systems: byAll(many, (model, round) => {
      const prefix = textOf(model, prefixTokens, 0);
      const each = Array.from({ length: together }, (_, i) => `${prefix}\n${tell(8 * round + i)}`);
      return Promise.all(each.map((text) => answer(model, text, answerTokens)));
    }),
  });
  await closeAll(many);
}

/** Writing while 8 processes want the processors too. */
async function busyRow(rows: ResumedRows, file: string): Promise<void> {
  const threads = availableParallelism();
  const system = `SmolLM2-135M-Instruct Q4_1, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
  const measured = rows.has(system, [busy]);
  const models = measured ? {} : await openAll(file, threads, 1);
  const others: ChildProcess[] = measured
    ? []
    : Array.from({ length: 8 }, () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
  try {
    // llama.cpp may write a token a second here
    const systems = byAll(models, (model, round) => answer(model, `Tell a story about number ${round}.`, 12));
    await rows.row(system, { name: busy, units: { count: 12, of: "tokens" }, rounds: 3, systems });
  } finally {
    for (const other of others) other.kill("SIGKILL");
  }
  await closeAll(models);
}

/** all-MiniLM-L6-v2 in our engine, and its weights in int8 by ONNX Runtime as another package carries them. */
async function encoderRows(rows: ResumedRows, folder: string): Promise<void> {
  const system = "all-MiniLM-L6-v2, 1 thread";
  const works = [
    { name: "passages of 256 tokens", length: 256, count: 8 },
    { name: "queries of 16 tokens", length: 16, count: 16 },
  ] as const;
  const open = async () => {
    const model = await openEncoderModel(join(folder, "all-MiniLM-L6-v2"));
    const session = (precision: "int8" | "fp32") => cpuEngine({ workers: 1, precision }).loadEncoder(model);
    const onnx = join(folder, "all-MiniLM-L6-v2.int8.onnx");
    const settings = { intraOpNumThreads: 1, interOpNumThreads: 1 };
    return {
      exit: model.exits.at(-1)!.layer,
      int8: await session("int8"),
      fp32: await session("fp32"),
      onnx: await InferenceSession.create(onnx, settings),
    };
  };
  const measured = rows.has(
    system,
    works.map(({ name }) => name),
  );
  const opened = measured ? undefined : await open();
  for (const { name, length, count } of works) {
    const ids = Int32Array.from({ length }, (_, i) => 2000 + ((i * 7919) % 20000));
    const long = (value: (i: number) => number) =>
      new Tensor(
        "int64",
        BigInt64Array.from({ length }, (_, i) => BigInt(value(i))),
        [1, length],
      );
    const feeds = { input_ids: long((i) => ids[i]!), attention_mask: long(() => 1), token_type_ids: long(() => 0) };
    const texts = Array.from({ length: count }, () => ids);
    const ours = (session: "int8" | "fp32") => () => opened![session].encode(ragged(texts), opened!.exit);
    const byOnnx = async () => {
      const inputs = Object.fromEntries(opened!.onnx.inputNames.map((one) => [one, feeds[one as keyof typeof feeds]]));
      for (let i = 0; i < count; i++) await opened!.onnx.run(inputs);
    };
    await rows.row(system, {
      ...{ name, units: { count, of: "texts" }, rounds: 7 },
      systems: { "ours in int8": ours("int8"), "ours in fp32": ours("fp32"), "ONNX Runtime, int8": byOnnx },
    });
  }
  await Promise.all([opened?.int8.close(), opened?.fp32.close(), opened?.onnx.release()]);
}

/**
 * Published models by our engine and by others on the same files, in turns. Ratios of processor time are those that other programs
 * disturb least; ratios by the clock count on a quiet machine. What was measured stays beside the checkpoints.
 */
export default async function checkpoints(report: Report): Promise<void> {
  const folder = process.env.TESSERA_CHECKPOINTS ?? "";
  const file = join(folder, fileName);
  if (!existsSync(file))
    throw new TesseraError("BAD_SOURCE", `${fileName} is not in $TESSERA_CHECKPOINTS`, {
      hint: "python apps/train/checkpoints.py FOLDER fetches it",
    });
  const rows = new ResumedRows(report, join(folder, "bench-checkpoints.jsonl"));
  for (const threads of [1, 2]) await decoderRows(rows, file, threads);
  if (existsSync(join(folder, "all-MiniLM-L6-v2")) && existsSync(join(folder, "all-MiniLM-L6-v2.int8.onnx")))
    await encoderRows(rows, folder);
  else report.miss("all-MiniLM-L6-v2", "python apps/train/checkpoints.py FOLDER fetches it");
  await busyRow(rows, file);
}
