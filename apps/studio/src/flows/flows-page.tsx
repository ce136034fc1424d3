import { lazy, Suspense, useId, useMemo, useState } from "react";
import { ask, startRun } from "../api/client.js";
import type { Check } from "../api/types.js";
import { go, to, useRoute } from "../route.js";
import { texts } from "../texts.js";
import { count } from "../ui/numbers.js";
import { ErrorNote, Facts, FindingList, Loading, Tabs } from "../ui/parts.js";
import { SchemaForm, type Values } from "../ui/schema-form.js";
import { useLoaded, useWork } from "../ui/use.js";
import { documentOf, hasWords, type LibraryFlow, loadLibrary } from "./library.js";

const FlowDrawing = lazy(() => import("../drawing/drawing.js"));
const CodeView = lazy(() => import("../source/code-view.js"));

function Group({ title, flows, chosen }: { title: string; flows: readonly LibraryFlow[]; chosen: string | undefined }) {
  if (flows.length === 0) return null;
  return (
    <section className="stack tight">
      <h2 className="minor">{title}</h2>
      <ul className="picks">
        {flows.map(({ name, summary }) => (
          <li key={name}>
            <a href={to("flows", name)} aria-current={name === chosen ? "true" : undefined}>
              <span>{name}</span>
              <span className="muted small">{summary}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function FlowList({ flows, chosen }: { flows: readonly LibraryFlow[]; chosen: string | undefined }) {
  const [search, setSearch] = useState("");
  const id = useId();
  const found = flows.filter((flow) => hasWords(flow, search));
  const lacks = ({ catalogue, served }: LibraryFlow) => !served && catalogue?.missing !== undefined;
  return (
    <div className="list stack">
      <div className="stack tight">
        {chosen === undefined ? <h1>{texts.flows.title}</h1> : <h2 className="title">{texts.flows.title}</h2>}
        <label className="visually-hidden" htmlFor={id}>
          {texts.flows.search}
        </label>
        <input
          id={id}
          type="search"
          className="input"
          placeholder={texts.flows.search}
          value={search}
          onChange={({ target }) => setSearch(target.value)}
        />
      </div>
      {found.length === 0 && <p className="muted">{texts.flows.none}</p>}
      <Group title={texts.flows.own} flows={found.filter(({ isOwn }) => isOwn)} chosen={chosen} />
      <Group title={texts.flows.here} flows={found.filter((one) => !one.isOwn && !lacks(one))} chosen={chosen} />
      <Group title={texts.flows.lacking} flows={found.filter((one) => !one.isOwn && lacks(one))} chosen={chosen} />
    </div>
  );
}

function RunForm({ flow }: { flow: NonNullable<LibraryFlow["served"]> }) {
  const [values, setValues] = useState<Values>({});
  const { busy, error, work } = useWork();
  const isWhole = (flow.input.required ?? []).every((name) => values[name] !== undefined);
  return (
    <form
      className="stack"
      aria-label={texts.flows.runTitle(flow.name)}
      onSubmit={(event) => {
        event.preventDefault();
        work(async () => go(to("runs", (await startRun(flow.name, values)).id)));
      }}
    >
      <SchemaForm schema={flow.input} values={values} change={setValues} />
      <div>
        <button type="submit" className="button primary" disabled={busy || !isWhole}>
          {texts.form.start}
        </button>
      </div>
      {error && <ErrorNote finding={error} />}
    </form>
  );
}

const views = [
  { id: "drawing", title: texts.flows.drawing },
  { id: "run", title: texts.flows.run },
  { id: "json", title: texts.flows.document },
  { id: "code", title: texts.flows.code },
];

function FlowHead({ flow }: { flow: LibraryFlow }) {
  const { name, catalogue, served } = flow;
  const bound = served?.bound ?? catalogue?.bound;
  const needs = catalogue?.resources?.join(", ");
  return (
    <header className="stack tight">
      <div className="row">
        <h1 className="breaking">{name}</h1>
        <a className="button small row end" href={to("edit", name)}>
          {flow.isOwn ? texts.flows.edit : texts.flows.copy}
        </a>
      </div>
      {catalogue && <p className="measure">{catalogue.about}</p>}
      <Facts
        facts={[
          ...(catalogue?.paper
            ? ([
                [
                  texts.flows.paper,
                  <a key="paper" href={`https://arxiv.org/abs/${catalogue.paper.id}`} target="_blank" rel="noreferrer">
                    {catalogue.paper.authors}
                  </a>,
                ],
              ] as const)
            : []),
          ...(bound
            ? ([
                [texts.flows.calls, count(bound.calls)],
                [texts.flows.tokens, count(bound.tokens)],
                [texts.flows.steps, count(bound.steps)],
              ] as const)
            : []),
          ...(needs === undefined ? [] : ([[texts.flows.needs, needs || texts.flows.noNeeds]] as const)),
        ]}
      />
      {!served && catalogue?.missing && (
        <div className="note stack tight">
          <p>{texts.flows.lacksTitle}</p>
          <FindingList findings={catalogue.missing} />
        </div>
      )}
    </header>
  );
}

function FlowDetail({ flow }: { flow: LibraryFlow }) {
  const { query } = useRoute();
  const [view, setView] = useState(query.get("view") ?? "drawing");
  const { value, error } = useLoaded(async () => {
    const document = await documentOf(flow);
    return { document, check: await ask<Check>("/check", { method: "POST", body: { document } }) };
  }, [flow.name, flow.served?.hash]);
  const tabs = useMemo(() => views.filter(({ id }) => id !== "run" || flow.served !== undefined), [flow]);
  return (
    <div className="detail">
      <FlowHead flow={flow} />
      {error && <ErrorNote finding={error} />}
      <Tabs tabs={tabs} chosen={view} choose={setView} label={flow.name} />
      <div role="tabpanel" className="panel" aria-label={tabs.find(({ id }) => id === view)?.title}>
        {!value ? (
          <Loading />
        ) : (
          <Suspense fallback={<Loading />}>
            {view === "drawing" && <FlowDrawing document={value.document} ports={value.check.ports} />}
            {view === "run" && flow.served && <RunForm key={flow.name} flow={flow.served} />}
            {view === "json" && <CodeView text={JSON.stringify(value.document, undefined, 2)} name="flow.json" />}
            {view === "code" && <CodeView text={value.check.typescript ?? ""} name="flow.ts" />}
          </Suspense>
        )}
      </div>
    </div>
  );
}

export default function FlowsPage({ name }: { name: string | undefined }) {
  const { value, error } = useLoaded(loadLibrary, []);
  const flow = value?.find((one) => one.name === name);
  return (
    <div className={`page whole split${name === undefined ? "" : " chosen"}`}>
      {value ? <FlowList flows={value} chosen={name} /> : error ? <ErrorNote finding={error} /> : <Loading />}
      {flow ? <FlowDetail key={flow.name} flow={flow} /> : <p className="muted detail-empty">{texts.flows.choose}</p>}
    </div>
  );
}
