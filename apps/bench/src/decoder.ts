import { fileURLToPath } from "node:url";
import { uniform } from "@tessera/core/internal";
import { cpuEngine } from "@tessera/models";
import { DecoderScheduler, type decoderShapes, randomDecoder, type Sampling } from "@tessera/models/internal";
import { type LoopDelay, watchLoop } from "./measure/loop-delay.js";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";

export type Shape = keyof typeof decoderShapes;

const promptTokens = 256;
const answerTokens = 64;
const rounds = 3;
const shapes = ["mixture-small", "mixture", "dense-active", "dense-between", "dense-fourfold"] as const;

export interface Load {
  /** From the request until the first token, of each answer, in milliseconds. */
  readonly first: readonly number[];
  /** Tokens after the first of all answers, a second of time that passed. */
  readonly speed: number;
  /** The same, a second of processor time of the whole process. */
  readonly coreSpeed: number;
  /** Megabytes. */
  readonly resident: number;
  readonly delay: LoopDelay;
}

/** A decoder with random weights behind the scheduler, asked by some callers at once. */
export async function decoderSystem(shape: Shape, workers: number) {
  const model = randomDecoder({ shape });
  const cache = { blocks: 8 * Math.ceil(model.context / 16), blockTokens: 16 };
  const session = await cpuEngine({ workers }).loadDecoder(model, cache);
  const scheduler = new DecoderScheduler(session, { name: shape, context: model.context });
  process.once("disconnect", () => void session.close());
  let prompts = 0;
  const random = uniform(7);
  /** One token may be drawn: by themselves random weights would repeat one, which stays in the processor's cache. */
  const sampling = (): Sampling => {
    const id = Math.floor(model.embedding.rows * random());
    const allowed = new Uint32Array(Math.ceil(model.embedding.rows / 32));
    allowed[id >> 5] = 1 << (id & 31);
    return { temperature: 0, topP: 1, random: 0, allowed };
  };
  return {
    async load(callers: number): Promise<Load> {
      const watched = watchLoop();
      const first: number[] = [];
      let begun = 0;
      let start = { at: 0, processor: 0 };
      const now = () => {
        const { user, system } = process.cpuUsage();
        return { at: performance.now(), processor: (user + system) / 1000 };
      };
      const answer = (caller: number): Promise<unknown> => {
        const asked = performance.now();
        const seed = prompts++;
        let tokens = 0;
        return scheduler.run({
          caller: `${caller}`,
          prompt: Int32Array.from(
            { length: promptTokens },
            (_, i) => (7919 * (i + seed) + 104729 * seed) % model.embedding.rows,
          ),
          maxTokens: answerTokens,
          sampling,
          take() {
            tokens += 1;
            if (tokens === 1) {
              first.push(performance.now() - asked);
              begun += 1;
              // decoding is measured once every prompt is read
              if (begun === callers) start = now();
            }
            return false;
          },
        });
      };
      await Promise.all(Array.from({ length: callers }, (_, caller) => answer(caller)));
      const delay = watched();
      const end = now();
      const drawn = callers * (answerTokens - 1);
      return {
        first,
        speed: (1000 * drawn) / (end.at - start.at),
        coreSpeed: (1000 * drawn) / (end.processor - start.processor),
        resident: memory().resident,
        delay,
      };
    },
  };
}

export const systems = Object.fromEntries(
  shapes.flatMap((shape) => [1, 2].map((workers) => [`${shape} ${workers}`, () => decoderSystem(shape, workers)])),
);

/**
 * Decoders with random weights on the CPU engine: decoding and the first token at batch 1 on one thread, and at batch 1
 * and 8 on two; beside them dense rivals with as many, twice and four times the active parameters of `mixture`.
 */
export default async function decoder(report: Report): Promise<void> {
  for (const { workers, callers } of [
    { workers: 1, callers: 1 },
    { workers: 2, callers: 1 },
    { workers: 2, callers: 8 },
  ]) {
    const setting = `batch ${callers}, ${workers} ${workers === 1 ? "thread" : "threads"}`;
    report.say(`${setting} …`);
    const processes: Record<string, SystemProcess> = {};
    try {
      for (const shape of shapes)
        processes[shape] = await SystemProcess.start(fileURLToPath(import.meta.url), `${shape} ${workers}`);
      for (const one of Object.values(processes)) await one.call<Load>("load", callers);
      const all = await interleave(
        Object.fromEntries(
          Object.entries(processes).map(([shape, one]) => [shape, () => one.call<Load>("load", callers)]),
        ),
        rounds,
      );
      for (const [shape, loads] of Object.entries(all)) {
        const median = (of: (load: Load) => number): number => percentile(loads.map(of), 0.5);
        const add = (metric: string, value: number, unit: string) =>
          report.add(shape, `${setting}: ${metric}`, value, unit);
        add(
          "decoding",
          median(({ speed }) => speed),
          "tokens/s",
        );
        add(
          "decoding, by processor time",
          median(({ coreSpeed }) => coreSpeed),
          "tokens/s/core",
        );
        add(
          `first token after ${promptTokens}`,
          percentile(
            loads.flatMap(({ first }) => first),
            0.5,
          ),
          "ms",
        );
        add(
          "memory of the process",
          median(({ resident }) => resident),
          "MB",
        );
        add(
          "event-loop delay, p99",
          median(({ delay }) => delay.p99),
          "ms",
        );
        add(
          "the same without waiting for a processor",
          median(({ delay }) => delay.own),
          "ms",
        );
        add("most of that", Math.max(...loads.map(({ delay }) => delay.ownMost)), "ms");
        add("most processor time in one turn of it", Math.max(...loads.map(({ delay }) => delay.turnMost)), "ms");
      }
    } finally {
      for (const one of Object.values(processes)) await one.close();
    }
  }
}
