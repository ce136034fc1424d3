import type { Json } from "../api/types.js";
import { texts } from "../texts.js";
import type { RunModel, Step } from "./run-model.js";
import { answerOf, isHits, isRow, whole } from "./values.js";

const nameOf = ({ path }: Step): string => path.slice(path.lastIndexOf("/") + 1);

const longest = 14; // sentences

function searched(step: Step, output: Json | undefined): string[] {
  if (!isRow(output)) return [];
  return Object.values(output)
    .filter((value) => isHits(value) || (Array.isArray(value) && value.length === 0))
    .slice(0, 1)
    .map((hits) => texts.run.whySearched(nameOf(step), (hits as Json[]).length));
}

function decided(step: Step, output: Json | undefined): string[] {
  if (!isRow(output)) return [];
  return Object.entries(output)
    .filter(([, value]) => typeof value === "boolean" || (typeof value === "string" && value.length < 40))
    .slice(0, 2)
    .map(([port, value]) => texts.run.whyChoice(nameOf(step), port, String(value)));
}

async function sentencesOf(run: string, step: Step): Promise<string[]> {
  if (step.status === "skipped")
    return [texts.run.whySkipped(nameOf(step), texts.run.skipReasons[step.reason ?? ""] ?? step.reason ?? "")];
  if (step.operator?.startsWith("retriever.")) return searched(step, await whole(run, step.output));
  if (step.operator?.startsWith("router.")) return decided(step, await whole(run, step.output));
  if (isRow(step.output) && typeof step.output.turns === "number")
    return [texts.run.whyLoop(nameOf(step), step.output.turns)];
  return [];
}

/** In plain sentences, how a run came to its answer: what was searched, decided and left out, and what was asked of models. */
export async function whyOf(run: RunModel): Promise<string[]> {
  const { state } = run;
  if (!state) return [];
  const steps = run.steps.slice(0, 400);
  const sentences = (await Promise.all(steps.map((step) => sentencesOf(state.id, step)))).flat();
  const answer = answerOf(state.output);
  const given = (Object.values(state.output ?? {}) as unknown[]).find(isHits)?.length;
  const cited = new Set(answer?.citations.map(({ passage }) => passage)).size;
  return [
    ...[...new Set(sentences)].slice(0, longest),
    ...(given !== undefined && answer ? [texts.run.whyCited(cited, given)] : []),
    run.calls > 0 ? texts.run.whyCalls(run.calls, run.tokens) : texts.run.whyNoModel,
  ];
}
