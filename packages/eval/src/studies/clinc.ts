import type { Encoder } from "@tessera/core";
import { dot } from "@tessera/core/internal";
import { HashEncoder } from "@tessera/models";
import type { Vectors } from "@tessera/models/internal";
import { catalogue } from "@tessera/tessera";
import type { IntentExample, Intents } from "../data-sets/converters/clinc.js";
import { type Outcomes, printOutcomes } from "../reports/outcomes.js";
import type { Output } from "../reports/output.js";
import { atLeast, type StudyOptions, studyContext } from "./study.js";

/** A guess, and how near the question was to what it was guessed from. */
interface Guess {
  readonly intent: string;
  readonly similarity: number;
}
type Router = (query: string) => Promise<Guess>;
type Routes = Readonly<Record<string, readonly string[]>>;

/** The most frequent intent of the five nearest examples; of equally frequent ones the nearest's. */
async function nearestNeighbours(encoder: Encoder, routes: Routes): Promise<Router> {
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

async function router(encoder: Encoder, routes: Routes): Promise<Router> {
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

/** What routers reach on questions of the intents, and on questions of none. */
interface Scopes {
  readonly inside: Outcomes;
  readonly outside: Outcomes;
}

/**
 * Routes the validation questions of CLINC150 to its intents, from 30 examples an intent, by each of some routers. The
 * threshold of each is chosen on questions of training that are no examples, and on others out of scope.
 * @throws TesseraError BAD_SOURCE where there are too few of a kind.
 */
export async function routeIntents(
  { train, validation, outsideTrain, outsideValidation }: Intents,
  limit: number,
  routersOf: (routes: Routes) => Promise<Readonly<Record<string, Router>>>,
  progress: (system: string, done: number, total: number) => void,
): Promise<Scopes> {
  const byIntent = new Map<string, IntentExample[]>();
  for (const example of train) byIntent.set(example.intent, [...(byIntent.get(example.intent) ?? []), example]);
  for (const [intent, texts] of byIntent) atLeast(31, texts.length, `training questions of "${intent}"`);
  atLeast(1, byIntent.size, "intents");
  atLeast(1, outsideTrain.length, "training questions out of scope");
  const parts = (from: number, to: number) =>
    [...byIntent].map(([intent, texts]) => [intent, texts.slice(from, to).map(({ text }) => text)] as const);
  const development = parts(30, 34).flatMap(([wanted, texts]) => texts.map((text) => ({ text, wanted })));
  // every n-th, so that a limit keeps all intents
  const asked = validation.filter((_, index) => index % Math.ceil(validation.length / limit) === 0);
  const [inside, outside]: [Record<string, Record<string, number[]>>, Record<string, Record<string, number[]>>] = [
    {},
    {},
  ];
  for (const [system, guess] of Object.entries(await routersOf(Object.fromEntries(parts(0, 30))))) {
    const all = async (texts: readonly string[]) => {
      const guesses: Guess[] = [];
      for (const text of texts) {
        progress(system, guesses.length, texts.length);
        guesses.push(await guess(text));
      }
      return guesses;
    };
    const known = (await all(development.map(({ text }) => text))).map((one, i) => ({ ...one, ...development[i]! }));
    const least = thresholdOf(known, await all(outsideTrain));
    const guesses = await all(asked.map(({ text }) => text));
    const right = guesses.map(({ intent }, i) => Number(intent === asked[i]!.intent));
    inside[system] = {
      "accuracy, scope known": right,
      accuracy: guesses.map(({ similarity }, i) => Number(similarity >= least && right[i] === 1)),
    };
    outside[system] = {
      "out-of-scope recall": (await all(outsideValidation)).map(({ similarity }) => Number(similarity < least)),
    };
  }
  return { inside, outside };
}

/** Five nearest neighbours, and `router.semantic`, on hash features. */
export async function hashRouters(routes: Routes): Promise<Record<string, Router>> {
  const hash = new HashEncoder();
  hash.fit(Object.values(routes).flat());
  return { "5-NN, hash": await nearestNeighbours(hash, routes), "semantic, hash": await router(hash, routes) };
}

/** Prints what `router.semantic` reaches on CLINC150 with the trained encoder and with hash features, beside neighbours. */
export async function clinc(
  output: Output,
  intents: Intents,
  { limit = intents.validation.length, openVectors }: StudyOptions,
): Promise<number> {
  let vectors: Vectors | undefined;
  try {
    const { inside, outside } = await routeIntents(
      intents,
      limit,
      async (routes) => {
        vectors = await openVectors?.();
        const trained = vectors?.model;
        const semantic = trained && { "semantic, trained": await router(trained, routes) };
        return { ...(await hashRouters(routes)), ...semantic };
      },
      (system, done, total) => output.progress(system, done, total),
    );
    output.clear();
    const against = vectors?.model ? "semantic, trained" : "semantic, hash";
    printOutcomes(output, "clinc", inside, against);
    output.say();
    printOutcomes(output, "clinc", outside, against);
    return 0;
  } finally {
    await vectors?.close();
  }
}
