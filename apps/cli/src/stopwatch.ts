import type { LanguageModel } from "@tessera/core";

/** What the time until the first word of an answer went to, in milliseconds of the clock. */
export interface Times {
  /** From the start of the process until the command began. */
  readonly start: number;
  /** Until the config, the model, the index and the flow were open. */
  readonly open: number;
  /** Until the first word of the answer, or its end where it is not streamed, without the model's own time. */
  readonly search: number;
  /** What the model took: whole calls before the answer, and of the answer until so much was said that a word could be shown. */
  readonly model: number;
  /** The sum of these: from the start of the process until the first word. */
  readonly firstWord: number;
  /** Of that, what is not the model's. */
  readonly ours: number;
  /** Processor time of this process until the first word. */
  readonly processor: number;
  /** Until the end of the answer. */
  readonly total: number;
}

/** Notes when the parts of a question were done. Calls of the model count as one after another. */
export class Stopwatch {
  private readonly begun = performance.now();
  private openedAt = this.begun;
  private shownAt: number | undefined;
  private processor = 0;
  private model = 0;

  /** Everything is open. */
  opened(): void {
    this.openedAt = performance.now();
  }

  /** The first word of the answer is there. */
  shown(): void {
    if (this.shownAt !== undefined) return;
    this.shownAt = performance.now();
    const { user, system } = process.cpuUsage();
    this.processor = (user + system) / 1000;
  }

  /** A model whose time is noted. */
  watched(model: LanguageModel): LanguageModel {
    const noteSince = (from: number): number => {
      const now = performance.now();
      if (this.shownAt === undefined) this.model += now - from;
      return now;
    };
    return {
      ...model,
      async *generate(request, signal) {
        let from = performance.now();
        for await (const delta of model.generate(request, signal)) {
          noteSince(from);
          yield delta;
          from = performance.now();
        }
        noteSince(from);
      },
    };
  }

  get times(): Times {
    const total = performance.now();
    this.shown();
    const { begun: start, openedAt, shownAt: firstWord = total, processor, model } = this;
    const ours = firstWord - model;
    return { start, open: openedAt - start, search: ours - openedAt, model, firstWord, ours, processor, total };
  }
}
