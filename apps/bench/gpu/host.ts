import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { findModel } from "@tessera/models";
import { encoderService, type GpuEngine, readTokenizer, TokenizerThreads } from "@tessera/models/internal";
import { encoderOf } from "./models.js";
import { median, type Report } from "./report.js";
import { sources } from "./sources.js";
import type { OwnFigures } from "./torch.js";

/**
 * E9: all that the host does for texts, tokenising in 16 threads, packing, the way to the GPU's process and back, with a
 * model of one layer in place of twelve. It must bear twice the tokens that the encoder of E3 computes.
 */
export async function host(report: Report, engine: GpuEngine, own: OwnFigures): Promise<void> {
  const { tiny } = report;
  const folder = await findModel("code-encoder");
  const path = join(folder, "tokenizer.json");
  const threads = tiny ? 1 : Math.min(16, availableParallelism());
  const tokenizer = await readTokenizer(path);
  const model = { ...encoderOf(tiny, 1, tokenizer.vocabulary), maxTokens: 512 };
  const service = await encoderService(
    model,
    engine,
    new TokenizerThreads({ document: await readFile(path, "utf8"), path }, threads),
    { tokensPerBatch: 16_384, waitingTokens: 2 ** 26 },
  );
  try {
    const texts = (await sources(tiny ? 4 : 16_384)).map((text) => (tiny ? text.slice(0, 200) : text));
    const tokens = texts.reduce((sum, text) => sum + tokenizer.encode(text, 512).length, 0);
    const callers = tiny ? 2 : 64;
    const each = texts.length / callers;
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const all = async (): Promise<void> => {
      await Promise.all(
        Array.from({ length: callers }, (_, i) =>
          service.as(`${i}`).encode(texts.slice(i * each, (i + 1) * each), { kind: "code" }),
        ),
      );
    };
    await all();
    delay.enable();
    const seconds = await median(tiny ? 1 : 5, all);
    delay.disable();
    const rate = tokens / seconds;
    report.figure("E9", `host's path, ${threads} tokenizer threads`, rate, "tokens/s");
    // texts of E3 have 128 tokens each
    if (own.encoder !== undefined)
      report.figure("E9", "the host against the encoder of E3", rate / (own.encoder * 128), "times", { least: 2 });
    report.figure("E9", "event-loop delay, p99", delay.percentile(99) / 1e6, "ms", { most: 10 });
  } finally {
    await service.close();
  }
}
