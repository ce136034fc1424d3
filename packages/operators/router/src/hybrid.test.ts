import { describe, expect, it } from "@jest/globals";
import { flow, is } from "@tessera/core";
import { hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import { hybrid } from "./hybrid.js";
import { metadata } from "./metadata.js";
import { semantic } from "./semantic.js";

const host = () => hostOf({ "encoder/main": scriptedEncoder(256) });
const routes = {
  code: {
    keywords: ["class", "function"],
    intents: { find: ["where is the function"], explain: ["explain it to me"] },
  },
  chat: { keywords: ["hello"], intents: ["good morning friend"] },
};
const config = { encoder: "main", routes, otherwise: "none", temperature: 0.5 };

testOperator(hybrid, {
  host,
  cases: [
    {
      name: "equation 22 at a = 0.5: half of each score",
      config,
      input: { query: "good morning class" },
      output: async (output) => {
        const scores = output.scores as Record<string, number>;
        expect(scores.code! + scores.chat!).toBeGreaterThan(0.5);
        expect(output.choice).toBe("code");
      },
    },
  ],
});

describe("router.hybrid", () => {
  const queries = ["where is the class", "hello there", "good morning friend", "explain the hello function", "zebra"];

  it("row 41: hybrid routing with a = 1 is metadata routing", async () => {
    const keywords = { code: routes.code.keywords, chat: routes.chat.keywords };
    for (const query of queries)
      expect(await runOperator(hybrid, { ...config, weight: 1 }, { query }, { host: host() })).toEqual(
        await runOperator(metadata, { routes: keywords, otherwise: "none" }, { query }),
      );
  });

  it("row 41: hybrid routing with a = 0 is semantic routing", async () => {
    const intents = { code: routes.code.intents, chat: routes.chat.intents };
    for (const query of queries) {
      const { choice, score, scores } = await runOperator(
        semantic,
        { encoder: "main", routes: intents, otherwise: "none", temperature: 0.5 },
        { query },
        { host: host() },
      );
      expect(await runOperator(hybrid, { ...config, weight: 0 }, { query }, { host: host() })).toEqual({
        choice,
        score,
        scores,
      });
    }
  });

  it("row 41: between them the score is linear in a", async () => {
    const scoresAt = async (weight: number) =>
      (await runOperator(hybrid, { ...config, weight }, { query: "where is the hello class" }, { host: host() }))
        .scores as Record<string, number>;
    const [zero, one, part] = [await scoresAt(0), await scoresAt(1), await scoresAt(0.3)];
    for (const route of Object.keys(routes))
      expect(part[route]).toBeCloseTo(0.3 * one[route]! + 0.7 * zero[route]!, 12);
  });

  it("a low score goes otherwise", async () => {
    const output = await runOperator(
      hybrid,
      { ...config, weight: 0, least: 0.9 },
      { query: "zebra" },
      { host: host() },
    );
    expect(output.choice).toBe("none");
  });

  it("its choices follow from its config, also in TypeScript", () => {
    flow("typed", { query: "text" }, (f, { query }) => {
      const { choice } = f.node("r", hybrid({ encoder: "m", routes: { a: { intents: ["x"] } }, otherwise: "b" }), {
        query,
      });
      f.node("yes", hybrid(config), { query }, { when: is(choice, "a", "b") });
      // @ts-expect-error there is no such choice
      f.node("no", hybrid(config), { query }, { when: is(choice, "c") });
      return { choice };
    });
  });
});
