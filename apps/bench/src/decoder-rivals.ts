import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { TesseraError } from "@tessera/core";
import { mean, uniform } from "@tessera/core/internal";
import { decoderSystem, type Load, type Shape } from "./decoder.js";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";

const mixture = "mixture-bytes";
const rivals = ["dense-bytes-active", "dense-bytes-between", "dense-bytes-fourfold"] as const;
const shapes: readonly Shape[] = [mixture, ...rivals];
const losses = new URL("../decoder-rivals.jsonl", import.meta.url);
const rounds = 15;
const resamples = 4000;

export const systems = Object.fromEntries(shapes.map((shape) => [shape, () => decoderSystem(shape, 1)]));

/** Held-out loss of each window and tokens a second of each round. */
interface Measured {
  readonly loss: readonly number[];
  readonly speed: readonly number[];
}

/** Of one draw: mean loss and median speed. */
interface Point {
  readonly loss: number;
  readonly speed: number;
}

/** Reads the losses, and measures the speed of each shape in interleaved rounds. */
async function measure(): Promise<ReadonlyMap<string, Measured>> {
  const lines = (await readFile(losses, "utf8")).trim().split("\n");
  const windows = new Map(
    lines.map((line) => JSON.parse(line) as { run: string; windows: number[] }).map((line) => [line.run, line.windows]),
  );
  const processes: Record<string, SystemProcess> = {};
  let loads: Record<string, Load[]>;
  try {
    for (const shape of shapes) processes[shape] = await SystemProcess.start(fileURLToPath(import.meta.url), shape);
    for (const one of Object.values(processes)) await one.call<Load>("load", 1);
    loads = await interleave(
      Object.fromEntries(shapes.map((shape) => [shape, () => processes[shape]!.call<Load>("load", 1)])),
      rounds,
    );
  } finally {
    for (const one of Object.values(processes)) await one.close();
  }
  return new Map<string, Measured>(
    shapes.map((shape) => {
      const loss = windows.get(shape);
      if (!loss) throw new TesseraError("BAD_INPUT", `decoder-rivals.jsonl has no line for "${shape}"`);
      return [shape, { loss, speed: loads[shape]!.map(({ coreSpeed }) => coreSpeed) }];
    }),
  );
}

/**
 * ModuleFormer's claim of efficiency on models over bytes of code: decoding of the mixture at batch 1 on one thread beside
 * three dense rivals that were trained on as many bytes, and how far their perplexities lie apart. The losses are those of
 * `python moe.py evaluate RUN STREAM --windows 256`, a line a run, in decoder-rivals.jsonl; the speeds are measured
 * here with weights drawn at random. Intervals: 95 %, windows and rounds drawn again, windows paired.
 */
export default async function decoderRivals(report: Report): Promise<void> {
  const measured = await measure();
  const random = uniform(11);
  const places = (count: number) => Array.from({ length: count }, () => Math.floor(count * random()));
  const point = (shape: string, windows: readonly number[], rounds: readonly number[]): Point => {
    const { loss, speed } = measured.get(shape)!;
    const speeds = rounds.map((place) => speed[place]!);
    return { loss: mean(windows.map((place) => loss[place]!)), speed: percentile(speeds, 0.5) };
  };
  const draw = (windows: readonly number[], rounds: readonly number[]) =>
    new Map(shapes.map((shape) => [shape, point(shape, windows, rounds)]));
  const count = measured.get(mixture)!.loss.length;
  const drawn = Array.from({ length: resamples }, () => draw(places(count), places(rounds)));
  const whole = draw([...Array(count).keys()], [...Array(rounds).keys()]);
  const add = (
    system: string,
    metric: string,
    unit: string,
    figure: (points: ReadonlyMap<string, Point>) => number,
  ) => {
    const figures = drawn.map(figure);
    report.add(system, metric, figure(whole), unit);
    report.add(system, `${metric}, low`, percentile(figures, 0.025), unit);
    report.add(system, `${metric}, high`, percentile(figures, 0.975), unit);
  };
  for (const shape of shapes) {
    add(shape, "perplexity a byte", "", (points) => Math.exp(points.get(shape)!.loss));
    add(shape, "decoding", "bytes/s/core", (points) => points.get(shape)!.speed);
    if (shape === mixture) continue;
    add(
      shape,
      "perplexity above the mixture's",
      "%",
      (points) => 100 * Math.expm1(points.get(shape)!.loss - points.get(mixture)!.loss),
    );
    add(
      shape,
      "speed of the mixture over its own",
      "times",
      (points) => points.get(mixture)!.speed / points.get(shape)!.speed,
    );
  }
  const best = rivals.reduce((best, name) => (whole.get(name)!.loss < whole.get(best)!.loss ? name : best));
  add(
    mixture,
    `speed over ${best}, the rival of least perplexity`,
    "times",
    (points) => points.get(mixture)!.speed / points.get(best)!.speed,
  );
}
