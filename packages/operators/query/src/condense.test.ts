import { describe, expect, it } from "@jest/globals";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { condense } from "./condense.js";

const config = { model: "main", longest: 20, end: 30 };
const long = `user: ${"harbour ".repeat(40)}\nassistant: Ada Brandt built it.\nuser: And the mole?\nassistant: Her son.`;
const hostWith = (said: string) => () => hostOf({ "model/main": scriptedModel(() => said) });

testOperator(condense, {
  host: hostWith("The harbour is Ada Brandt's."),
  cases: [
    {
      name: "a short one stays whole",
      config,
      input: { history: "user: a" },
      output: { history: "user: a", summary: "" },
    },
    { name: "without one there is none", config, input: {}, output: { history: "", summary: "" } },
    {
      name: "a long one becomes a summary and its end, from a whole line on",
      config,
      input: { history: long },
      output: {
        history: "summary: The harbour is Ada Brandt's.\nassistant: Her son.",
        summary: "The harbour is Ada Brandt's.",
      },
    },
  ],
});

describe("query.condense", () => {
  it("does not ask for a short conversation, and gives the model the end of a long one as data", async () => {
    const model = scriptedModel(() => "A summary.");
    const run = (history: string, characters = 100) =>
      runOperator(condense, { ...config, characters }, { history }, { host: hostOf({ "model/main": model }) });
    await run("user: short");
    expect(model.requests).toEqual([]);
    await run(long);
    const { messages } = model.requests[0]!;
    expect(messages.map(({ role }) => role)).toEqual(["system", "user"]);
    expect(messages[1]!.content).toContain("Her son.");
    expect(messages[1]!.content.length).toBeLessThan(250);
  });

  it.each(["", "  \n"])("keeps the conversation where the model writes %j", async (said) => {
    expect(await runOperator(condense, config, { history: long }, { host: hostWith(said)() })).toEqual({
      history: long,
      summary: "",
    });
  });
});
