import type { Encoder } from "@tessera/core";
import type { IntentExample, Intents } from "@tessera/eval";
import { HashEncoder } from "@tessera/models";
import { catalogue } from "@tessera/tessera";
import { openEncoder } from "../../engine.js";
import type { Terminal } from "../../terminal.js";
import { printOutcomes } from "./print.js";
import { atLeast, type StudyOptions, studyContext } from "./resources.js";

/** A guess, and how near the question was to what it was guessed from. */
interface Guess {
  readonly intent: string;
  readonly similarity: number;
}
type Router = (query: string) => Promise<Guess>;

const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** The most frequent intent of the five nearest examples; of equally frequent ones the nearest's. */
async function nearestNeighbours(
  encoder: Encoder,
  routes: Readonly<Record<string, readonly string[]>>,
): Promise<Router> {
  const examples = Object.entries(routes).flatMap(([intent, texts]) => texts.map((text) => ({ intent, text })));
  const vectors = await encoder.encode(
    examples.map(({ text }) => text),
    { kind: "query" },
  );
  return async (query) => {
    const [vector] = await encoder.encode([query], { kind: "query" });
    const nearest = vectors
      .map((other, index) => ({ intent: examples[index]!.intent, similarity: dot(vector!, other) }))
      .sort((a, b) => b.similarity - a.similarity)
      .slice(0, 5);
    const votes = (intent: string) => nearest.filter((one) => one.intent === intent).length;
    const best = nearest.reduce((most, one) => (votes(one.intent) > votes(most.intent) ? one : most));
    return { intent: best.intent, similarity: nearest[0]!.similarity };
  };
}

const { operator: semantic } = catalogue.get("router.semantic")!;

async function router(encoder: Encoder, routes: Readonly<Record<string, readonly string[]>>): Promise<Router> {
  const host = { resource: async () => encoder as never };
  const config = semantic.config.parse({ encoder: "encoder", routes, otherwise: "oos" });
  const route = await semantic.setup(config, host);
  return async (query) => {
    const { intent, similarity } = (await route({ query }, studyContext())) as unknown as Guess;
    return { intent, similarity };
  };
}

/**
 * The similarity below which a question is out of scope, chosen on questions of training that are no examples: where the
 * accuracy in scope and the recall out of scope have the greatest mean.
 */
function thresholdOf(inside: readonly (Guess & { wanted: string })[], outside: readonly Guess[]): number {
  const worth = (least: number) =>
    inside.filter(({ intent, wanted, similarity }) => intent === wanted && similarity >= least).length / inside.length +
    outside.filter(({ similarity }) => similarity < least).length / outside.length;
  const candidates = [...inside, ...outside].map(({ similarity }) => similarity);
  return candidates.reduce((best, least) => (worth(least) > worth(best) ? least : best), -1);
}

/**
 * Routes the validation questions of CLINC150 to 150 intents by `router.semantic`, with our encoder and with hash
 * features, beside a 5-nearest-neighbour vote on hash features, from 30 examples an intent.
 */
export async function clinc(
  terminal: Terminal,
  { train, validation, outsideTrain, outsideValidation }: Intents,
  { limit = validation.length, ...options }: StudyOptions,
): Promise<number> {
  const byIntent = new Map<string, IntentExample[]>();
  for (const example of train) byIntent.set(example.intent, [...(byIntent.get(example.intent) ?? []), example]);
  for (const [intent, texts] of byIntent) atLeast(31, texts.length, `training questions of "${intent}"`);
  atLeast(1, byIntent.size, "intents");
  atLeast(1, outsideTrain.length, "training questions out of scope");
  const parts = (from: number, to: number) =>
    [...byIntent].map(([intent, texts]) => [intent, texts.slice(from, to).map(({ text }) => text)] as const);
  const routes = Object.fromEntries(parts(0, 30));
  const development = parts(30, 34).flatMap(([wanted, texts]) => texts.map((text) => ({ text, wanted })));
  // every n-th, so that a limit keeps all intents
  const asked = validation.filter((_, index) => index % Math.ceil(validation.length / limit) === 0);

  const trained = await openEncoder(terminal, options);
  const hash = new HashEncoder();
  hash.fit(Object.values(routes).flat());
  const systems: Record<string, Router> = {
    "5-NN, hash": await nearestNeighbours(hash, routes),
    "semantic, hash": await router(hash, routes),
    "semantic, trained": await router(trained, routes),
  };
  const scopes: {
    inside: Record<string, Record<string, number[]>>;
    outside: Record<string, Record<string, number[]>>;
  } = {
    inside: {},
    outside: {},
  };
  for (const [system, guess] of Object.entries(systems)) {
    const all = async (texts: readonly string[]) => {
      const guesses: Guess[] = [];
      for (const text of texts) {
        terminal.progress(system, guesses.length, texts.length);
        guesses.push(await guess(text));
      }
      return guesses;
    };
    const known = (await all(development.map(({ text }) => text))).map((one, i) => ({ ...one, ...development[i]! }));
    const least = thresholdOf(known, await all(outsideTrain));
    const inside = await all(asked.map(({ text }) => text));
    const right = inside.map(({ intent }, i) => Number(intent === asked[i]!.intent));
    scopes.inside[system] = {
      "accuracy, scope known": right,
      accuracy: inside.map(({ similarity }, i) => Number(similarity >= least && right[i] === 1)),
    };
    scopes.outside[system] = {
      "out-of-scope recall": (await all(outsideValidation)).map(({ similarity }) => Number(similarity < least)),
    };
    terminal.clear();
  }
  await trained.close?.();
  printOutcomes(terminal, "clinc", scopes.inside, "semantic, trained");
  terminal.say();
  printOutcomes(terminal, "clinc", scopes.outside, "semantic, trained");
  return 0;
}
