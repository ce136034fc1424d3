import { type GpuEngine, ragged } from "@tessera/models/internal";
import { decode } from "./decoder.js";
import { textsOf } from "./encoder.js";
import { decoderOf, encoderOf } from "./models.js";
import type { Report } from "./report.js";

/** E6: mixed load, encoders at every exit and by margin, and a decoder; the GPU's memory must not grow. */
export async function soak(report: Report, engine: GpuEngine, minutes: number): Promise<void> {
  const { tiny } = report;
  const encoder = await engine.loadEncoder(encoderOf(tiny));
  const decoder = await engine.loadDecoder(decoderOf(tiny), { blocks: tiny ? 8 : 1024, blockTokens: 16 });
  const started = engine.process;
  const texts = ragged(textsOf(tiny));
  const once = async (): Promise<void> => {
    for (const exit of encoder.exits) await encoder.encode(texts, exit);
    await encoder.encodeByMargin(texts, { margin: 0.3, layers: encoder.exits });
    await decode(decoder, tiny ? 2 : 16, 32, 2, tiny ? 64 : 4096);
  };
  await once();
  const before = await engine.memory();
  const end = performance.now() + minutes * 60_000;
  let turns = 0;
  do {
    await once();
    turns += 1;
  } while (performance.now() < end);
  report.figure("E6", "growth of the GPU's memory", (await engine.memory()) / before - 1, "share", { most: 0.02 });
  report.figure("E6", "device losses", engine.process === started ? 0 : 1, `in ${turns} turns`, { most: 0 });
}
