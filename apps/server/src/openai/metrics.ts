// internal
import type { DecoderScheduler, EncoderBatcher } from "@tessera/models/internal";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What a service may show of itself. */
interface Observed {
  readonly encoders: Readonly<Record<string, object>>;
  readonly languageModels: Readonly<Record<string, object>>;
}

const batcherOf = (service: object): EncoderBatcher | undefined => (service as { batcher?: EncoderBatcher }).batcher;
const schedulerOf = (service: object): DecoderScheduler | undefined =>
  (service as { scheduler?: DecoderScheduler }).scheduler;

/** A figure of each of some models, as it is when it is asked for; of those that have none nothing is told. */
interface Figure {
  readonly name: string;
  readonly help: string;
  readonly models: readonly string[];
  of(model: string): number | undefined;
}

function gauge(registers: Registry[], { name, help, models, of }: Figure): void {
  new Gauge({
    name,
    help,
    labelNames: ["model"],
    registers,
    collect() {
      for (const model of models) {
        const value = of(model);
        if (value !== undefined) this.set({ model }, value);
      }
    },
  });
}

function counter(registers: Registry[], { name, help, models, of }: Figure): void {
  new Counter({
    name,
    help,
    labelNames: ["model"],
    registers,
    collect() {
      this.reset();
      for (const model of models) {
        const value = of(model);
        if (value !== undefined) this.inc({ model }, value);
      }
    },
  });
}

function encoderMetrics(registers: Registry[], encoders: Observed["encoders"]): void {
  const models = Object.keys(encoders);
  const batcher = (model: string) => batcherOf(encoders[model]!);
  gauge(registers, {
    name: "tessera_encoder_waiting_tokens",
    help: "Tokens that wait for a batch.",
    models,
    of: (model) => batcher(model)?.state.waitingTokens,
  });
  for (const [total, help] of [
    ["tokens", "Tokens encoded."],
    ["texts", "Texts encoded."],
    ["batches", "Batches encoded."],
  ] as const)
    counter(registers, {
      name: `tessera_encoder_${total}_total`,
      help,
      models,
      of: (model) => batcher(model)?.totals[total],
    });
}

function languageModelMetrics(registers: Registry[], languageModels: Observed["languageModels"]): void {
  const models = Object.keys(languageModels);
  const scheduler = (model: string) => schedulerOf(languageModels[model]!);
  for (const [name, state, help] of [
    ["running", "running", "Answers under way."],
    ["waiting", "waiting", "Requests that wait."],
    ["blocks_free", "blocksFree", "Blocks of the cache that nobody uses."],
  ] as const)
    gauge(registers, {
      name: `tessera_language_model_${name}`,
      help,
      models,
      of: (model) => scheduler(model)?.state[state],
    });
  for (const [total, help] of [
    ["prompt", "Tokens of prompts."],
    ["reused", "Tokens of prompts that were in the cache."],
    ["generated", "Tokens generated."],
    ["interruptions", "Answers interrupted for want of blocks."],
    ["failures", "Steps that failed."],
  ] as const)
    counter(registers, {
      name: `tessera_language_model_${total}_total`,
      help,
      models,
      of: (model) => scheduler(model)?.totals[total],
    });
}

/** The metrics of the model routes, in a registry: what the services are at now, and how long requests took. */
export class ModelMetrics {
  private readonly seconds: Histogram<"route" | "status">;
  private readonly firstSeconds: Histogram<"route">;

  constructor(registry: Registry, { encoders, languageModels }: Observed) {
    const registers = [registry];
    this.seconds = new Histogram({
      name: "tessera_model_request_seconds",
      help: "Time of a request of the model routes, to the end of its answer.",
      labelNames: ["route", "status"],
      buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
      registers,
    });
    this.firstSeconds = new Histogram({
      name: "tessera_model_first_token_seconds",
      help: "Time to the first part of an answer.",
      labelNames: ["route"],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    encoderMetrics(registers, encoders);
    languageModelMetrics(registers, languageModels);
  }

  answered(route: string, status: number, milliseconds: number): void {
    this.seconds.observe({ route, status: String(status) }, milliseconds / 1000);
  }

  began(route: string, milliseconds: number): void {
    this.firstSeconds.observe({ route }, milliseconds / 1000);
  }
}
