// internal: tuneServed
import type { FlowDocument, Json, Principal } from "@tessera/core";
import type { Question } from "../data-sets/data-set.js";
import { type EvaluationOptions, evaluate } from "../runs/evaluate.js";
import type { Measuring } from "../runs/flows.js";
import { type SearchSettings, searchSettings, type Trial, type Tuning } from "./tune.js";
import { readTunedSetting } from "./tuned-settings.js";

/** A search that a client asks a service for: its flows run on what the service has open. */
interface ServedSearch
  extends Pick<SearchSettings, "metric" | "smaller" | "runs" | "calls" | "seed" | "planned" | "progress">,
    Pick<EvaluationOptions, "admit"> {
  readonly document: FlowDocument;
  readonly questions: readonly Question[];
  /** The values of a setting, or a text of them as the command line takes it, such as "10..50:5". */
  readonly settings: readonly { readonly at: string; readonly values: string | readonly Json[] }[];
  readonly compile: Measuring["compile"];
  readonly principal: Principal;
  readonly signal: AbortSignal;
  readonly tried: (trial: Trial) => void;
}

/** Questions under way at a time. */
const concurrency = 3;

/** Tunes a flow on the resources of a service. @throws TesseraError as `tune` does */
export async function tuneServed(search: ServedSearch): Promise<Tuning> {
  const { compile, admit, principal, signal, settings, ...rest } = search;
  const read = settings.map(({ at, values }) =>
    typeof values === "string" ? readTunedSetting(`${at}=${values}`) : { at, values },
  );
  const measuring: Measuring = {
    compile,
    measure: (flow, asked, options) =>
      evaluate(flow, asked, { revision: "served", concurrency, principal, admit, signal, ...options }),
  };
  return searchSettings(measuring, { ...rest, settings: read });
}
