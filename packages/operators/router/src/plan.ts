// public: plan
import { flag, operator, TesseraError, text } from "@tessera/core";
import { z } from "zod";
import { stateOf } from "./state.js";

const state = stateOf(z.object({ answers: z.array(z.string().nullable()), asked: z.array(z.int()) }));

const references = (question: string): number[] =>
  [...question.matchAll(/#(\d{1,3})(?!\d)/g)].map(([, digits]) => Number(digits));

/**
 * The scheduler of dependent sub-questions (least-to-most; MuSiQue's "#1"): each call takes the answers to the last
 * `next`, in its order, and gives all questions that can be asked now, with the answers they refer to in place of "#1".
 * What is independent is asked at once, what is dependent in turn. An empty answer is put in as "unknown". It is done
 * when nothing is left that can be asked; `notes` are the questions, filled in, each followed by its answer.
 * @throws TesseraError BAD_VALUE where the answers are not as many as the questions.
 */
export const plan = operator({
  name: "router.plan",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, operator 7; Zhou et al. 2022 (least-to-most)",
    summary: "Schedules sub-questions by what they depend on.",
  },
  config: z.strictObject({}),
  ports: {
    input: { questions: z.array(text), state: state.port, answers: z.array(text).optional() },
    output: { state: z.any(), next: z.array(text), notes: z.array(text), done: flag },
  },
  effects: "none",
  setup:
    () =>
    ({ questions, state: given, answers = [] }) => {
      const before = state.read(given) ?? { answers: questions.map(() => null), asked: [] };
      if (answers.length !== before.asked.length || before.answers.length !== questions.length)
        throw new TesseraError("BAD_VALUE", `${before.asked.length} questions were asked, ${answers.length} answered`);
      const known = [...before.answers];
      for (const [place, index] of before.asked.entries()) known[index] = answers[place]!.trim() || "unknown";
      const filled = (question: string) =>
        question.replace(/#(\d{1,3})(?!\d)/g, (mark, digits) => known[Number(digits) - 1] ?? mark);
      const open = [...questions.keys()].filter((index) => known[index] === null);
      const ready = open.filter((index) =>
        references(questions[index]!).every((to) => to < 1 || to > questions.length || known[to - 1] !== null),
      );
      return {
        state: { answers: known, asked: ready },
        next: ready.map((index) => filled(questions[index]!)),
        notes: questions.flatMap((question, i) => (known[i] === null ? [] : [`${filled(question)} ${known[i]}`])),
        done: ready.length === 0,
      };
    },
});
