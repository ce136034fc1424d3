// internal: evaluateGuards
import { guards } from "@tessera/query/internal";
import type { Output } from "../../reports/output.js";

/**
 * Tries every known way to write on the guards of text-to-SQL and text-to-Cypher, and statements that only read, and
 * prints how many were refused and accepted; exit code 1 where one was judged wrongly.
 */
export function evaluateGuards(output: Output): number {
  const tried = guards.map(({ language, refusal, writes, reads, spellings }) => {
    const attacks = writes.flatMap(spellings);
    const passed = attacks.filter((statement) => refusal(statement) === undefined);
    const denied = reads.filter((statement) => refusal(statement) !== undefined);
    return {
      guard: language,
      kinds: writes.length,
      attacks: attacks.length,
      refused: attacks.length - passed.length,
      reads: reads.length,
      accepted: reads.length - denied.length,
      wrong: [...passed, ...denied],
    };
  });
  if (output.json) for (const one of tried) output.line(one);
  else
    output.table(
      ["guard", "kinds of write", "refused", "readings", "accepted"],
      tried.map((one) => [
        one.guard,
        one.kinds,
        `${one.refused} of ${one.attacks} spellings`,
        one.reads,
        `${one.accepted} of ${one.reads}`,
      ]),
    );
  for (const { guard, wrong } of tried)
    for (const statement of wrong) output.say(output.style.red(`${guard} judges this wrongly: ${statement}`));
  return tried.every(({ wrong }) => wrong.length === 0) ? 0 : 1;
}
