import { HashEncoder } from "@tessera/models";
import { hybrid } from "@tessera/router";
import { ResourceHost } from "@tessera/tessera/internal";
import { words } from "@tessera/text";
import { readClinc } from "../../data-sets/converters/clinc.js";
import { hashRouters, routeIntents } from "../clinc.js";
import { studyContext } from "../study.js";
import type { RowCheck, RowFigure } from "./check.js";

/** The words of an intent's examples that fewest other intents use, weighed by how often it uses them itself. */
function keywordsOf(routes: ReadonlyMap<string, readonly string[]>, count: number): Map<string, string[]> {
  const used = new Map(
    [...routes].map(([intent, texts]) => [intent, texts.flatMap((text) => [...new Set(words(text))])]),
  );
  const holders = new Map<string, number>();
  for (const list of used.values()) for (const word of new Set(list)) holders.set(word, (holders.get(word) ?? 0) + 1);
  return new Map(
    [...used].map(([intent, list]) => {
      const worth = (word: string) =>
        list.filter((other) => other === word).length * Math.log(1 + routes.size / holders.get(word)!);
      const best = [...new Set(list)].map((word) => [word, worth(word)] as const).sort((a, b) => b[1] - a[1]);
      return [intent, best.slice(0, count).map(([word]) => word)];
    }),
  );
}

/** Row 41: the weight a of the keywords swept from semantic routing to metadata routing, with hash features. */
const sweep: RowCheck = {
  row: 41,
  about: "hybrid routing by the weight of keywords",
  async measure({ folder, limit = 600, signal, progress }) {
    const { train, validation } = await readClinc(folder);
    const routes = new Map<string, string[]>();
    for (const { text, intent } of train) {
      const texts = routes.get(intent) ?? [];
      if (texts.length < 30) routes.set(intent, [...texts, text]);
    }
    const encoder = new HashEncoder();
    encoder.fit([...routes.values()].flat());
    const host = new ResourceHost({ encoder: { encoder: () => encoder } });
    const keywords = keywordsOf(routes, 5);
    const settings = Object.fromEntries(
      [...routes].map(([intent, intents]) => [intent, { keywords: keywords.get(intent)!, intents }]),
    );
    const asked = validation.filter((_, index) => index % Math.max(1, Math.floor(validation.length / limit)) === 0);
    const figures: RowFigure[] = [];
    for (const weight of [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1]) {
      const config = { encoder: "encoder", routes: settings, otherwise: "nothing", weight };
      const route = await hybrid.setup(hybrid.config.parse(config), host);
      const right: number[] = [];
      for (const [index, { text, intent }] of asked.entries()) {
        progress(index, asked.length);
        const { choice } = (await route({ query: text }, studyContext(signal))) as { choice: string };
        right.push(Number(choice === intent));
      }
      const name = { 0: " (semantic routing)", 1: " (metadata routing)" }[weight] ?? "";
      figures.push({ what: `a = ${weight}${name}: accuracy on 150 intents`, values: right });
    }
    return figures;
  },
};

/** Row 40: semantic routing with hash features, beside the vote of five nearest neighbours. */
const semantic: RowCheck = {
  row: 40,
  about: "semantic routing",
  async measure({ folder, limit = 600, progress }) {
    const { inside, outside } = await routeIntents(await readClinc(folder), limit, hashRouters, (_, done, total) =>
      progress(done, total),
    );
    return [inside, outside].flatMap((scope) =>
      Object.entries(scope).flatMap(([system, measures]) =>
        Object.entries(measures).map(([measure, values]) => ({ what: `${system}: ${measure}`, values })),
      ),
    );
  },
};

export const routing: readonly RowCheck[] = [semantic, sweep];
