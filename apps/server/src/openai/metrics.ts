// internal
import type { DecoderScheduler, EncoderBatcher } from "@tessera/models/internal";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What a service may show of itself. */
export interface Observed {
  readonly encoders: Readonly<Record<string, object>>;
  readonly languageModels: Readonly<Record<string, object>>;
}

const batcherOf = (service: object): EncoderBatcher | undefined => (service as { batcher?: EncoderBatcher }).batcher;
const schedulerOf = (service: object): DecoderScheduler | undefined =>
  (service as { scheduler?: DecoderScheduler }).scheduler;

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
    const gauge = (name: string, help: string, read: (model: string) => number | undefined, models: string[]): void => {
      new Gauge({
        name,
        help,
        labelNames: ["model"],
        registers,
        collect() {
          for (const model of models) {
            const value = read(model);
            if (value !== undefined) this.set({ model }, value);
          }
        },
      });
    };
    const counter = (
      name: string,
      help: string,
      read: (model: string) => number | undefined,
      models: string[],
    ): void => {
      new Counter({
        name,
        help,
        labelNames: ["model"],
        registers,
        collect() {
          this.reset();
          for (const model of models) {
            const value = read(model);
            if (value !== undefined) this.inc({ model }, value);
          }
        },
      });
    };
    const embedding = Object.keys(encoders);
    const encoder = (model: string) => batcherOf(encoders[model]!);
    gauge(
      "tessera_encoder_waiting_tokens",
      "Tokens that wait for a batch.",
      (model) => encoder(model)?.state.waitingTokens,
      embedding,
    );
    counter("tessera_encoder_tokens_total", "Tokens encoded.", (model) => encoder(model)?.totals.tokens, embedding);
    counter("tessera_encoder_texts_total", "Texts encoded.", (model) => encoder(model)?.totals.texts, embedding);
    counter("tessera_encoder_batches_total", "Batches encoded.", (model) => encoder(model)?.totals.batches, embedding);
    const generating = Object.keys(languageModels);
    const languageModel = (model: string) => schedulerOf(languageModels[model]!);
    gauge(
      "tessera_language_model_running",
      "Answers under way.",
      (model) => languageModel(model)?.state.running,
      generating,
    );
    gauge(
      "tessera_language_model_waiting",
      "Requests that wait.",
      (model) => languageModel(model)?.state.waiting,
      generating,
    );
    gauge(
      "tessera_language_model_blocks_free",
      "Blocks of the cache that nobody uses.",
      (model) => languageModel(model)?.state.blocksFree,
      generating,
    );
    for (const [total, help] of [
      ["prompt", "Tokens of prompts."],
      ["reused", "Tokens of prompts that were in the cache."],
      ["generated", "Tokens generated."],
      ["interruptions", "Answers interrupted for want of blocks."],
      ["failures", "Steps that failed."],
    ] as const)
      counter(
        `tessera_language_model_${total}_total`,
        help,
        (model) => languageModel(model)?.totals[total],
        generating,
      );
  }

  answered(route: string, status: number, milliseconds: number): void {
    this.seconds.observe({ route, status: String(status) }, milliseconds / 1000);
  }

  began(route: string, milliseconds: number): void {
    this.firstSeconds.observe({ route }, milliseconds / 1000);
  }
}
