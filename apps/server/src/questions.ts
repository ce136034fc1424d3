import type { Wait } from "@tessera/graph";
import type { RunState } from "@tessera/graph/internal";

// what a run waits for, as a message: for clients that know chats and tools, and no waits

/** Where a run waits, at the end of a message. */
const mark = /\(run ([A-Za-z0-9_-]{1,128}) waits at ([^\s()]{1,4096})\)\s*$/;

const shown = (payload: unknown): string => (typeof payload === "string" ? payload : JSON.stringify(payload));

const choices = ({ schema }: Wait): string => {
  const { enum: list } = (schema ?? {}) as { enum?: readonly unknown[] };
  return Array.isArray(list) ? `Answer with one of: ${list.join(", ")}.` : "";
};

/** The wait of a run that a message can answer: the first that takes an answer. */
const askable = ({ waits = [] }: RunState): Wait | undefined => waits.find(({ kind }) => kind === "answer");

/** What a run that waits asks. The last line says where, so that the next message finds it again. */
export function questionOf(state: RunState): string {
  const wait = askable(state);
  if (!wait) {
    const [first] = state.waits ?? [];
    const what = first?.kind === "signal" ? `the signal "${first.signal}"` : (first?.due ?? "a time");
    return `The run goes on by itself: it waits for ${what}.`;
  }
  const parts = [wait.payload === undefined ? "" : shown(wait.payload), choices(wait)];
  return [...parts.filter((part) => part !== ""), `(run ${state.id} waits at ${wait.path})`].join("\n\n");
}

/** The wait that a message asked about. */
export function askedIn(message: string | undefined): { readonly run: string; readonly path: string } | undefined {
  const [, run, path] = mark.exec(message ?? "") ?? [];
  return run === undefined || path === undefined ? undefined : { run, path };
}

/** A message as the answer of a wait: its text where a text is wanted, else the JSON that it holds. */
export function answerIn(text: string, wait: Pick<Wait, "schema"> | undefined): unknown {
  const said = text.trim();
  if (wait?.schema?.type === "string") return wait.schema.enum ? said : text;
  try {
    return JSON.parse(said);
  } catch {
    return said;
  }
}
