import { describe, expect, it } from "@jest/globals";
import type { Capability, Delta } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { FakeDecoder, spoken } from "./fake-decoder.fixture.js";
import { languageModelService, type TextGeneration } from "./language-model-service.js";

/** Numbers as words; every second one is held back until the next, as half a letter would be. */
const numbers: TextGeneration = {
  revision: "numbers-1",
  capabilities: new Set<Capability>(["prefix"]),
  begin({ messages, maxTokens, stop }) {
    let held = "";
    let count = 0;
    return {
      prompt: Int32Array.from(messages[0]!.content.split(" "), Number),
      maxTokens,
      sampling: () => ({ temperature: 0, topP: 1, random: 0 }),
      take({ id }) {
        held += `${id} `;
        count += 1;
        const text = held;
        if (count % 2 === 1) return { stop: stop?.includes(`${id}`) ?? false };
        held = "";
        return { delta: { text }, stop: stop?.includes(`${id}`) ?? false };
      },
      rest: () => (held === "" ? undefined : { text: held }),
    };
  },
};

const service = (blocks = 64) =>
  languageModelService(new FakeDecoder(blocks, 4), numbers, { name: "numbers", context: 1000, waiting: 4 });

const request = (content: string, maxTokens = 5) => ({ messages: [{ role: "user" as const, content }], maxTokens });

describe("a language model as a service", () => {
  it("gives the text as it comes, what was held back, the end and the usage", async () => {
    const model = service();
    const deltas: Delta[] = [];
    for await (const delta of model.generate(request("1 2 3"))) deltas.push(delta);
    expect(deltas.map(({ text }) => text).join("")).toBe(
      spoken([1, 2, 3], 5)
        .map((id) => `${id} `)
        .join(""),
    );
    expect(deltas).toHaveLength(3);
    expect(deltas.at(-1)).toMatchObject({ finish: "length", usage: { prompt: 3, completion: 5 } });
    const third = spoken([1, 2, 3], 3)[2]!;
    const stopped = await complete(model, { ...request("1 2 3"), stop: [`${third}`] });
    expect(stopped).toMatchObject({ finish: "stop", usage: { prompt: 3, completion: 3 } });
  });

  it("gives every caller what he would get alone", async () => {
    const model = service();
    const prompts = ["1 2", "1 2 3", "9"];
    const answers = await Promise.all(prompts.map((prompt, i) => complete(model.as(`${i}`), request(prompt, 9))));
    for (const [i, { text }] of answers.entries())
      expect(text).toBe(
        spoken(prompts[i]!.split(" ").map(Number), 9)
          .map((id) => `${id} `)
          .join(""),
      );
  });

  it("frees the blocks of a reader who leaves, of one who aborts, and of one whose engine failed", async () => {
    const session = new FakeDecoder(64, 4);
    const model = languageModelService(session, numbers, { name: "numbers", context: 1000 });
    for await (const _ of model.generate(request("1 2", 200))) break;
    const controller = new AbortController();
    const aborted = complete(model, request("3", 200), controller.signal, () => controller.abort());
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
    session.before = () => {
      throw new Error("device lost");
    };
    await expect(complete(model, request("4"))).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(model.scheduler.state).toMatchObject({ running: 0, waiting: 0, blocksFree: 64 });
    await model.close();
    await expect(complete(model, request("4"))).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("refuses when too many wait", async () => {
    const model = service();
    const answers = Array.from({ length: 5 }, () =>
      complete(model, request("1 2", 2)).catch((error: unknown) => error),
    );
    expect((await Promise.all(answers)).at(-1)).toMatchObject({ code: "OVERLOADED" });
  });
});
