import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import { plan } from "./plan.js";

testOperator(plan, {
  cases: [
    {
      name: "row 14: independent sub-queries are asked at once",
      input: { questions: ["Is a cat a mammal?", "Is a dog?"] },
      output: (output) =>
        expect(output).toMatchObject({ next: ["Is a cat a mammal?", "Is a dog?"], notes: [], done: false }),
    },
    {
      name: "no question is no plan",
      input: { questions: [] },
      output: (output) => expect(output).toMatchObject({ next: [], done: true }),
    },
  ],
});

/** Answers wave after wave. */
async function answer(questions: string[], reply: (question: string) => string) {
  const waves: string[][] = [];
  let [state, answers]: [unknown, string[] | undefined] = [undefined, undefined];
  for (;;) {
    const output = await runOperator(plan, {}, { questions, state, answers });
    if (output.done) return { waves, notes: output.notes };
    state = JSON.parse(JSON.stringify(output.state));
    waves.push(output.next as string[]);
    answers = (output.next as string[]).map(reply);
  }
}

describe("router.plan", () => {
  it('row 14: "#1" is sequential with substitution, and what does not depend on it does not wait', async () => {
    // a three-hop decomposition in MuSiQue's notation, and a question of its own
    const replies: Record<string, string> = {
      "Who directed Jaws?": "Steven Spielberg",
      "Steven Spielberg >> spouse": "Kate Capshaw",
      "Where was Kate Capshaw born, as Steven Spielberg was not?": "Fort Worth",
      "What is Jaws about?": "a shark",
    };
    const questions = [
      "Who directed Jaws?",
      "#1 >> spouse",
      "Where was #2 born, as #1 was not?",
      "What is Jaws about?",
    ];
    const { waves, notes } = await answer(questions, (question) => replies[question]!);
    expect(waves).toEqual([
      ["Who directed Jaws?", "What is Jaws about?"],
      ["Steven Spielberg >> spouse"],
      ["Where was Kate Capshaw born, as Steven Spielberg was not?"],
    ]);
    expect(notes).toEqual(Object.entries(replies).map(([question, reply]) => `${question} ${reply}`));
  });

  it("an answer that says nothing is unknown, and one that looks like a reference or a pattern is text", async () => {
    const { waves } = await answer(["a?", "b?", "c #1 #2"], (question) => (question === "a?" ? "  " : "#1 $& $1"));
    expect(waves[1]).toEqual(["c unknown #1 $& $1"]);
  });

  it("a circle ends the plan, with what is known", async () => {
    expect(await answer(["a?", "b #3", "c #2", "d #9"], () => "yes")).toEqual({
      waves: [["a?", "d #9"]],
      notes: ["a? yes", "d #9 yes"],
    });
  });

  it("answers are as many as questions", async () => {
    const { state } = await runOperator(plan, {}, { questions: ["a?", "b?"] });
    await expect(runOperator(plan, {}, { questions: ["a?", "b?"], state, answers: ["x"] })).rejects.toMatchObject({
      code: "BAD_VALUE",
    });
  });
});
