import type { FlowSummary } from "../api/types.js";
import { texts } from "../texts.js";
import type { Interval } from "./use-evaluation.js";

/** The data sets of the folder, and what the service does with them. */
export interface DataSets {
  readonly sets: readonly { readonly name: string; readonly questions: number }[];
  readonly measures: boolean;
  readonly tunes: boolean;
}

/** Whether a flow takes a question and gives something that can be measured. */
export const measurable = ({ input, output }: FlowSummary): boolean =>
  (input.required?.length ?? 0) === 1 && output.some((port) => /hits|answer|text/.test(port));

export const interval = ({ mean, low, high }: Interval): string =>
  `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;

/** A difference with its sign, and its interval. */
export const signed = ({ mean, low, high }: Interval): string => {
  const words = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  return `${words(mean)} [${words(low)}, ${words(high)}]`;
};

export function DataSetChoice(props: { sets: DataSets["sets"]; chosen: string; choose: (name: string) => void }) {
  const { sets, chosen, choose } = props;
  return (
    <label className="row tight">
      <span className="label">{texts.evaluate.set}</span>
      <select className="input narrow" value={chosen} onChange={({ target }) => choose(target.value)}>
        {sets.map(({ name, questions }) => (
          <option key={name} value={name}>
            {texts.evaluate.setOf(name, questions)}
          </option>
        ))}
      </select>
    </label>
  );
}
