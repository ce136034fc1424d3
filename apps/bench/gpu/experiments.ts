// Experiments E0 to E9 of docs/models/gpu.md, one JSON line a figure:
//   node --conditions=@tessera/source --import=./apps/setup/sources.mjs apps/bench/gpu/experiments.ts
//   … --tiny --driver ICD.json    tiny shapes on a driver in software: shows that everything runs, measures nothing
//   … --soak 8                    eight minutes of mixed load instead; with --only, after those
//   … --only E3,E4                some of them
//   … --precision fp32            the precision of the timings
//   … --cuda LIBRARY              CUDA's driver for E8, where it is not libcuda.so.1
import { parseArgs } from "node:util";
import { gpuEngine } from "@tessera/models";
import { type GpuEngine, selfTest } from "@tessera/models/internal";
import { decoder, greedyAgreement } from "./decoder.js";
import { encoder, provider } from "./encoder.js";
import { host } from "./host.js";
import { median, Report } from "./report.js";
import { productSizes, reserve } from "./reserve.js";
import { soak } from "./soak.js";
import { decide, type OwnFigures, torchFigures } from "./torch.js";

const { values: options } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    driver: { type: "string" },
    soak: { type: "string" },
    only: { type: "string" },
    precision: { type: "string", default: "fp16" },
    cuda: { type: "string" },
  },
});
const { tiny, driver } = options;
const report = new Report(tiny);
const precision = options.precision === "fp32" ? "fp32" : "fp16";
const wanted = options.only?.split(",");
const open = (as: "fp16" | "fp32" = precision): Promise<GpuEngine> =>
  gpuEngine({ driver, precision: as, memory: tiny ? 2 ** 30 : 16 * 2 ** 30 });

const asked = (...names: string[]): boolean => wanted === undefined || names.some((name) => wanted.includes(name));

/** Runs one, unless others were asked for. */
async function experiment(name: string, work: () => Promise<void>): Promise<void> {
  if (asked(name)) await report.experiment(name, work);
}

/** The engine of the timings; its exit code is a figure. */
async function within(work: (engine: GpuEngine) => Promise<void>): Promise<void> {
  const engine = await open();
  try {
    await work(engine);
  } finally {
    report.figure("E6", "exit code", (await engine.close()) ?? -1, "", { most: 0 });
  }
}

async function boot(engine: GpuEngine, opened: number): Promise<void> {
  report.figure("E0", "device", engine.info.device, engine.info.dtype);
  report.figure("E0", "features", engine.features.join(" "), "");
  await engine.measure({ kind: "dispatches", count: 1 });
  report.figure("E0", "first dispatch", (performance.now() - opened) / 1000, "s", { most: 3 });
  // shaders of its own, which take seconds in software: the tests of the engines run it there
  const failure = tiny ? undefined : await selfTest(engine);
  report.figure("E0", "self-test", failure ?? (tiny ? "left out" : "passed"), "");
  if (failure !== undefined) throw new Error(`the self-test fails: ${failure}`);
  let clean = 0;
  const cycles = tiny ? 2 : 200;
  for (let i = 0; i < cycles; i++) if ((await (await open()).close()) === 0) clean += 1;
  report.figure("E0", "clean starts and stops", clean, `of ${cycles}`, { least: cycles });
}

async function products(engine: GpuEngine): Promise<void> {
  const rows = tiny ? 64 : 16384;
  const repeats = tiny ? 1 : 50;
  for (const [inputs, outputs] of tiny ? productSizes.slice(0, 1) : productSizes) {
    const [k, n] = tiny ? [inputs / 16, outputs / 16] : [inputs, outputs];
    const seconds = await engine.measure({ kind: "product", rows, inputs: k, outputs: n, repeats });
    const rate = (2 * rows * k * n * repeats) / seconds / 1e12;
    report.figure("E1", `product ${rows} × ${k} × ${n}`, rate, "TFLOP/s", { least: inputs === 768 ? 120 : 80 });
  }
}

async function dispatches(engine: GpuEngine): Promise<void> {
  // one that is not counted, and the median of the others
  const times: number[] = [];
  await median(tiny ? 1 : 7, async () => times.push(await engine.measure({ kind: "dispatches", count: 120 })));
  const seconds = times.slice(1).sort((a, b) => a - b)[Math.floor((times.length - 1) / 2)]!;
  report.figure("E2", "120 dependent dispatches", seconds * 1000, "ms", { most: 0.8 });
}

const soakAlone = options.soak !== undefined && wanted === undefined;
if (soakAlone) await report.experiment("E6", () => within((engine) => soak(report, engine, Number(options.soak))));
else {
  const own: OwnFigures = {};
  const opened = performance.now();
  if (options.soak !== undefined || asked("E0", "E1", "E2", "E3", "E3b", "E4", "E5", "E9"))
    await report.experiment("E0", () =>
      within(async (engine) => {
        await experiment("E0", () => boot(engine, opened));
        await experiment("E1", () => products(engine));
        await experiment("E2", () => dispatches(engine));
        if (asked("E3", "E5")) await report.experiment("E3", () => encoder(report, engine, own));
        await experiment("E3b", () => provider(report, engine, driver));
        await experiment("E4", async () => {
          await decoder(report, engine, own);
          await greedyAgreement(report, engine);
          if (engine.info.dtype === "fp32") return;
          const exact = await open("fp32");
          await greedyAgreement(report, exact).finally(() => exact.close());
        });
        await experiment("E9", () => host(report, engine, own));
        if (options.soak !== undefined) await report.experiment("E6", () => soak(report, engine, Number(options.soak)));
      }),
    );
  const torch = asked("E7") ? await torchFigures(report) : new Map<string, number>();
  await experiment("E7", async () => decide(report, own, torch));
  await experiment("E8", () => reserve(report, torch, options.cuda));
}
process.exit(report.failed ? 1 : 0);
