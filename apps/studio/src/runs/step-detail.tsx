import { useState } from "react";
import type { Json } from "../api/types.js";
import { texts } from "../texts.js";
import { count, duration } from "../ui/numbers.js";
import { ErrorNote, Facts, Loading, Tabs } from "../ui/parts.js";
import { useLoaded } from "../ui/use.js";
import { ChangePanel, type RunFlow } from "./change.js";
import type { ModelCall, RunModel, Step } from "./run-model.js";
import { PortValues, type ValueLinks } from "./value-view.js";
import { isRow, whole } from "./values.js";

interface Asked {
  readonly role: string;
  readonly content: string;
}

const messagesIn = (value: Json | undefined): readonly Asked[] =>
  isRow(value) && Array.isArray(value.messages) ? (value.messages as unknown as Asked[]) : [];

function Call({ call, index, run }: { call: ModelCall; index: number; run: string }) {
  const { value, error } = useLoaded(
    async () => ({ input: await whole(run, call.input), output: await whole(run, call.output) }),
    [call],
  );
  if (error) return <ErrorNote finding={error} />;
  if (!value) return <Loading />;
  const said = isRow(value.output) ? String(value.output.text) : undefined;
  return (
    <section className="stack tight">
      <h3>{texts.run.call(index, call.prompt, call.completion)}</h3>
      {call.input === undefined && <p className="muted">{texts.run.lostPrompts}</p>}
      {messagesIn(value.input).map(({ role, content }, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: messages in their order
        <div key={place} className="message">
          <span className="small muted">{texts.run.roles[role] ?? role}</span>
          <p className="text">{content}</p>
        </div>
      ))}
      {said !== undefined && (
        <div className="message said">
          <span className="small muted">
            {texts.run.said}
            {call.finish === "length" && `, ${texts.run.cut}`}
          </span>
          <p className="text">{said}</p>
        </div>
      )}
    </section>
  );
}

function factsOf(step: Step): (readonly [string, string])[] {
  return [
    ...(step.ms === undefined ? [] : [[texts.run.took, duration(step.ms)] as const]),
    ...(step.calls.length > 0
      ? [[texts.run.calls, count(step.calls.length)] as const, [texts.run.tokens, count(step.tokens)] as const]
      : []),
    ...(step.attempts > 1 ? [["", texts.run.attempts(step.attempts)] as const] : []),
    ...(step.from ? [["", texts.run.from[step.from] ?? step.from] as const] : []),
  ];
}

/** Goes through the activations of a node that ran several times: they may be tens of thousands. */
function Activations({ run, step, choose }: { run: RunModel; step: Step; choose: (path: string) => void }) {
  const all = run.stepsOf(step.node);
  if (all.length < 2) return null;
  const at = all.indexOf(step);
  const move = (to: number) => {
    const next = all[to];
    if (next) choose(next.path);
  };
  return (
    <div className="row tight small">
      <button
        type="button"
        className="button small"
        aria-label={texts.run.earlier}
        disabled={at === 0}
        onClick={() => move(at - 1)}
      >
        ‹
      </button>
      <label className="row tight">
        <span className="muted">{texts.run.activation}</span>
        <input
          className="input count"
          type="number"
          min={1}
          max={all.length}
          value={at + 1}
          onChange={({ target }) => move(target.valueAsNumber - 1)}
        />
        <span className="muted">{texts.run.ofActivations(all.length)}</span>
      </label>
      <button
        type="button"
        className="button small"
        aria-label={texts.run.later}
        disabled={at === all.length - 1}
        onClick={() => move(at + 1)}
      >
        ›
      </button>
    </div>
  );
}

interface StepDetailProps {
  readonly run: RunModel;
  readonly step: Step;
  readonly links: ValueLinks;
  readonly choose: (path: string) => void;
  readonly flow?: RunFlow | undefined;
}

/** What went into a step, what came out, and what its model was asked and said. */
export function StepDetail(props: StepDetailProps) {
  const { run, step, links, choose, flow } = props;
  const [tab, setTab] = useState("output");
  const tabs = [
    { id: "input", title: texts.run.input },
    { id: "output", title: step.error ? texts.run.error : texts.run.output },
    ...(step.calls.length > 0 ? [{ id: "prompt", title: texts.run.prompt }] : []),
    ...(flow && step.operator && run.state?.status !== "running" ? [{ id: "change", title: texts.change.title }] : []),
  ];
  const shown = tabs.some(({ id }) => id === tab) ? tab : "output";
  return (
    <section className="step stack" aria-label={step.path}>
      <header className="stack tight">
        <h2 className="mono breaking">{step.path}</h2>
        <Facts facts={[[step.operator ?? "", texts.stepStatus[step.status]], ...factsOf(step)]} />
        <Activations run={run} step={step} choose={choose} />
      </header>
      <Tabs tabs={tabs} chosen={shown} choose={setTab} label={step.path} />
      <div role="tabpanel" aria-label={tabs.find(({ id }) => id === shown)?.title}>
        {shown === "input" && <PortValues row={step.input} links={links} />}
        {shown === "output" && step.error && <ErrorNote finding={step.error} />}
        {shown === "output" && step.status === "skipped" && (
          <p className="muted">{texts.run.skipReasons[step.reason ?? ""] ?? step.reason}</p>
        )}
        {shown === "output" && !step.error && step.status !== "skipped" && (
          <PortValues row={step.output} links={links} />
        )}
        {shown === "change" && flow && <ChangePanel run={run} step={step} flow={flow} />}
        {shown === "prompt" && (
          <div className="stack wide">
            {step.calls.map((call, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: calls in their order
              <Call key={index} call={call} index={index + 1} run={links.run} />
            ))}
          </div>
        )}
      </div>
    </section>
  );
}
