import { type PortType, TesseraError, type Waits } from "@tessera/core";
import { type Answerers, canonicalJson } from "@tessera/core/internal";
import type { FlowPlan } from "../plan.js";

/** A signal that some node of a flow receives. */
export interface DeclaredSignal {
  readonly queue: number;
  readonly type: PortType;
  readonly who?: Answerers | undefined;
}

type Declared = NonNullable<Waits["signal"]>;

function* declarations(plan: FlowPlan): Iterable<{ readonly path: string; readonly signal: Declared }> {
  for (const { body, path } of plan.nodes)
    if (body.kind === "flow") yield* declarations(body);
    else {
      const signal = body.operator.waits?.(body.config).signal;
      if (signal) yield { path, signal };
    }
}

/** The signals that the nodes of a flow receive, by name. */
export function signalsOf(plan: FlowPlan): ReadonlyMap<string, DeclaredSignal> {
  return new Map([...declarations(plan)].map(({ signal: { name, ...signal } }) => [name, signal]));
}

/** Findings for signals that two nodes receive and declare differently: nobody could say what a sender may send. */
export function signalFindings(plan: FlowPlan): TesseraError[] {
  const first = new Map<string, { readonly path: string; readonly declared: string }>();
  const findings: TesseraError[] = [];
  for (const { path, signal } of declarations(plan)) {
    const declared = canonicalJson(JSON.parse(JSON.stringify(signal)));
    const known = first.get(signal.name);
    if (!known) first.set(signal.name, { path, declared });
    else if (known.declared !== declared)
      findings.push(
        new TesseraError("BAD_WAIT", `the signal "${signal.name}" is declared otherwise at ${known.path}`, {
          path,
          hint: "give both the same `queue`, `value` and `who`, or another name to one of them",
        }),
      );
  }
  return findings;
}
