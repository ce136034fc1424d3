// public: ScriptedModel, scriptedModel, ModelScript, ModelRule, ruledModel, scriptedEncoder
import {
  type Capability,
  type Delta,
  type Encoder,
  type GenerateRequest,
  type LanguageModel,
  TesseraError,
} from "@tessera/core";
import { words } from "@tessera/text";

type Script = readonly string[] | ((request: GenerateRequest, call: number) => string | Promise<string>);

export interface ScriptedModel extends LanguageModel {
  /** Every request so far, in order. */
  readonly requests: GenerateRequest[];
}

/**
 * A language model that says what it is told to. It is no model: no figure made with it is a measure of quality.
 * Tokens are words with the space before them; each has the log-probability that `logprob` gives (default −0.1).
 * @throws TesseraError MODEL_FAILED where a list of answers is used up.
 */
export function scriptedModel(
  script: Script,
  options: {
    capabilities?: readonly Capability[];
    logprob?: (token: string, request?: GenerateRequest) => number;
    /** The alternatives at a token, where a request asks for them. */
    alternatives?: (token: string, request: GenerateRequest) => { text: string; logprob: number }[];
    revision?: string;
  } = {},
): ScriptedModel {
  const requests: GenerateRequest[] = [];
  const capabilities = new Set<Capability>(options.capabilities ?? []);
  return {
    revision: options.revision ?? "scripted-1",
    scripted: true,
    capabilities,
    requests,
    async *generate(request, signal): AsyncIterable<Delta> {
      signal?.throwIfAborted();
      const call = requests.push(request) - 1;
      const text = typeof script === "function" ? await script(request, call) : script[call];
      if (text === undefined) throw new TesseraError("MODEL_FAILED", `the script has no answer for call ${call + 1}`);
      const words = text.match(/\s*\S+|\s+$/g) ?? [];
      const kept = words.slice(0, request.maxTokens);
      for (const word of kept) {
        signal?.throwIfAborted();
        yield {
          text: word,
          ...(request.logprobs &&
            capabilities.has("logprobs") && {
              tokens: [
                {
                  text: word,
                  logprob: options.logprob?.(word, request) ?? -0.1,
                  ...(request.alternatives &&
                    options.alternatives && { alternatives: options.alternatives(word, request) }),
                },
              ],
            }),
        };
      }
      const prompt = request.messages.reduce((sum, { content }) => sum + content.split(/\s+/).length, 0);
      yield {
        text: "",
        finish: kept.length < words.length ? "length" : "stop",
        usage: { prompt, completion: kept.length },
      };
    },
    ...(capabilities.has("score") && {
      async score({ text }: { text: string }, signal?: AbortSignal) {
        signal?.throwIfAborted();
        const words = text.match(/\s*\S+|\s+$/g) ?? [];
        const tokens = words.map((word) => ({ text: word, logprob: options.logprob?.(word) ?? -0.1 }));
        return { tokens, usage: { prompt: words.length, completion: 0 } };
      },
    }),
  };
}

/** What a model is to say, as a JSON file holds it. */
export interface ModelScript {
  readonly rules: readonly ModelRule[];
  /** The probabilities of some words; others have 0.95. Without it the model has no log-probabilities. */
  readonly probabilities?: Readonly<Record<string, number>>;
  /** The probability, in a text to be scored, of a word that the prompt holds and of another. Without it no text can be scored. */
  readonly scores?: { readonly held: number; readonly other: number };
}

/** What is said to a prompt that holds all the texts in `asked`; of several sayings the request's seed takes one. */
export interface ModelRule {
  readonly asked: string | readonly string[];
  readonly says: string | readonly string[];
  /** The probabilities of what might be said in place of it, as the alternatives to its first token. */
  readonly chances?: Readonly<Record<string, number>>;
}

const promptOf = ({ messages, prefix = "" }: GenerateRequest): string =>
  [...messages.map(({ content }) => content), prefix].join("\n");

/** A scripted model that answers by the first rule that fits. It throws where none does. */
export function ruledModel(
  { rules, probabilities, scores }: ModelScript,
  options?: Parameters<typeof scriptedModel>[1],
): ScriptedModel {
  const ruleFor = (request: GenerateRequest): ModelRule => {
    const prompt = promptOf(request);
    const rule = rules.find(({ asked }) => [asked].flat().every((text) => prompt.includes(text)));
    if (!rule) throw new Error(`no rule for the prompt:\n${prompt}`);
    return rule;
  };
  const capabilities: Capability[] = [
    ...(probabilities ? (["logprobs"] as const) : []),
    ...(rules.some(({ says }) => typeof says !== "string") ? (["seed"] as const) : []),
    ...(scores ? (["score"] as const) : []),
  ];
  const model = scriptedModel(
    (request) => {
      const sayings = [ruleFor(request).says].flat();
      return sayings[(request.seed ?? 0) % sayings.length]!;
    },
    {
      capabilities,
      ...(probabilities && { logprob: (token) => Math.log(probabilities[token.trim()] ?? 0.95) }),
      alternatives: (_, request) =>
        Object.entries(ruleFor(request).chances ?? {}).map(([text, chance]) => ({ text, logprob: Math.log(chance) })),
      ...options,
    },
  );
  if (!scores) return model;
  return {
    ...model,
    async score(request, signal) {
      const asked: GenerateRequest = { messages: request.messages, maxTokens: 0 };
      model.requests.push(asked);
      const scored = await model.score!(request, signal);
      const held = new Set(words(promptOf(asked)));
      const chance = (token: string) => (words(token).every((word) => held.has(word)) ? scores.held : scores.other);
      return { ...scored, tokens: scored.tokens.map(({ text }) => ({ text, logprob: Math.log(chance(text)) })) };
    },
  };
}

/** An encoder for tests: letters and letter pairs hashed into `width` buckets, so that texts with common words are near. */
export function scriptedEncoder(width = 64): Encoder {
  return {
    revision: "scripted-1",
    space: (embedding) => `scripted:${embedding.width ?? width}`,
    async encode(texts, { width: kept = width }) {
      return texts.map((text) => {
        const vector = new Float32Array(kept);
        for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? []) {
          let hash = 2166136261;
          for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 16777619);
          vector[(hash >>> 0) % kept]! += (hash & 65536) === 0 ? 1 : -1;
        }
        const norm = Math.hypot(...vector) || 1;
        return vector.map((component) => component / norm);
      });
    },
  };
}
