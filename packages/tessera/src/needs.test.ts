import { describe, expect, it } from "@jest/globals";
import type { Capability, Host, LanguageModel, Resource } from "@tessera/core";
import { catalogue } from "./catalogue.js";
import { exampleOf } from "./example.js";

/** A host of one model, with stubs for all else, and what the model was asked to be able to. */
function hostWith(capabilities: readonly Capability[]) {
  const asked = new Set<string>();
  const able = new Set(capabilities);
  const model: LanguageModel = {
    revision: "1",
    capabilities: Object.assign(new Set(able), {
      has(capability: Capability) {
        asked.add(capability);
        return able.has(capability);
      },
    }),
    async *generate() {},
    ...(able.has("score") && { score: async () => ({ tokens: [], usage: { prompt: 0, completion: 0 } }) }),
  };
  const stub = { revision: "1", space: () => "space" };
  const host: Host = {
    resource: async <T extends Resource>(kind: string, _name: string, own?: T) =>
      own ?? ((kind === "model" ? model : stub) as unknown as T),
  };
  return { host, asked };
}

const members = [...catalogue.values()].map(({ operator }) => operator);
const setUp = async (name: string, capabilities: readonly Capability[]) => {
  const { operator } = catalogue.get(name)!;
  const { host, asked } = hostWith(capabilities);
  await operator.setup(operator.config.parse(exampleOf(name).with ?? {}), host);
  return asked;
};
const portsOf = (name: string) => {
  const { operator } = catalogue.get(name)!;
  return typeof operator.ports === "function"
    ? operator.ports(operator.config.parse(exampleOf(name).with))
    : operator.ports;
};
const needs = members.flatMap(({ name, needs = {} }) =>
  Object.entries(needs).map(([capability, need]) => ({ name, capability: capability as Capability, ...need })),
);

describe("an ability that not every model has", () => {
  it.each(needs.filter(({ when, otherwise }) => when === undefined && otherwise === undefined))(
    "$name refuses at compile a model without $capability",
    async ({ name, capability }) => {
      await expect(setUp(name, [])).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
      await expect(setUp(name, [capability])).resolves.toBeDefined();
    },
  );

  it.each(needs.filter(({ otherwise }) => otherwise !== undefined))(
    "$name goes on without $capability, as it declares",
    async ({ name, told }) => {
      await expect(setUp(name, [])).resolves.toBeDefined();
      if (told !== undefined) expect(Object.keys(portsOf(name).output)).toContain(told);
    },
  );

  it("is declared by every operator that looks for it when it is set up", async () => {
    const undeclared: string[] = [];
    for (const { name, config, needs = {} } of members) {
      if (!("model" in ((exampleOf(name).with as object | undefined) ?? {})) || !config) continue;
      const asked = await setUp(name, ["logprobs", "prefix", "json", "seed", "score"]);
      for (const capability of asked) if (!(capability in needs)) undeclared.push(`${name} ${capability}`);
    }
    expect(undeclared).toEqual([]);
  });

  it("is a fallback that can be seen wherever token log-probabilities decide", () => {
    const silent = needs.filter(
      ({ capability, otherwise, told }) => capability === "logprobs" && otherwise !== undefined && told === undefined,
    );
    expect(silent).toEqual([]);
    expect(needs.filter(({ capability }) => capability === "logprobs").length).toBeGreaterThan(3);
  });
});
