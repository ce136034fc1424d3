import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ask } from "../api/client.js";
import type { Check, Finding, FlowDocument, FlowSummary, Operator } from "../api/types.js";
import type { DrawingLinks, WireEnd } from "../drawing/card.js";
import { go, to } from "../route.js";
import "../styles/edit.css";
import { texts } from "../texts.js";
import { count } from "../ui/numbers.js";
import { ErrorNote, Facts, FindingList, Loading, Tabs } from "../ui/parts.js";
import { useLoaded, useWork } from "../ui/use.js";
import { emptyFlow, nodeAt, parentOf, wired, withOperator } from "./document.js";
import { useHistory } from "./history.js";
import { NodePanel } from "./node-panel.js";
import { Palette } from "./palette.js";
import { download, openFlow, useCheck } from "./use-flow.js";
import { Versions } from "./versions.js";
import { refusalOf } from "./wires.js";

const FlowDrawing = lazy(() => import("../drawing/drawing.js"));
const JsonEditor = lazy(() => import("./json-editor.js"));
const CodeView = lazy(() => import("../source/code-view.js"));

const printed = (document: FlowDocument): string => JSON.stringify(document, undefined, 2);

/** The text of a document: as somebody types it, also where it is none for a moment. */
function useText(document: FlowDocument, change: (document: FlowDocument) => void): [string, (text: string) => void] {
  const [typed, setTyped] = useState<string>();
  const own = useRef<FlowDocument>(undefined);
  useEffect(() => {
    // changed by something else than the text
    if (document !== own.current) setTyped(undefined);
  }, [document]);
  const type = useCallback(
    (text: string) => {
      setTyped(text);
      try {
        const next = JSON.parse(text) as FlowDocument;
        if (typeof next !== "object" || next === null || typeof next.nodes !== "object" || next.nodes === null) return;
        if (typeof next.input !== "object" || typeof next.output !== "object" || typeof next.name !== "string") return;
        own.current = next;
        change(next);
      } catch {
        // the editor shows where it is no JSON
      }
    },
    [change],
  );
  return [typed ?? printed(document), type];
}

const ends = (wire: {
  source: string;
  target: string;
  sourceHandle?: string | null;
  targetHandle?: string | null;
}) => ({
  from: wire.source,
  fromPort: (wire.sourceHandle ?? "").replace(/^out:/, ""),
  to: wire.target,
  toPort: (wire.targetHandle ?? "").replace(/^in:/, ""),
});

/** What makes the drawing editable: which ports a wire may join, and what joining them does. */
function useWiring(
  document: FlowDocument,
  check: Check | undefined,
  change: (document: FlowDocument) => void,
): NonNullable<DrawingLinks["edit"]> {
  const [begun, begin] = useState<WireEnd>();
  return useMemo(
    () => ({
      begin,
      fits: (wire) => refusalOf(document, ends(wire), check).fits !== undefined,
      connect: (wire) => {
        const { fits } = refusalOf(document, ends(wire), check);
        if (fits) change(wired(document, ends(wire), fits));
      },
      refusal: (node, port, side) => {
        if (!begun?.nodeId || !begun.handleId) return undefined;
        const isSource = begun.handleType === "source";
        if (isSource === (side === "out")) return begun.nodeId === node ? undefined : texts.edit.sameSide;
        const [mine, other] = [begun.handleId.replace(/^(in|out):/, ""), port];
        const wire = isSource
          ? { from: begun.nodeId, fromPort: mine, to: node, toPort: other }
          : { from: node, fromPort: other, to: begun.nodeId, toPort: mine };
        return refusalOf(document, wire, check).reason;
      },
    }),
    [document, check, change, begun],
  );
}

const sides = (chosen: boolean) => [
  ...(chosen ? [{ id: "node", title: texts.edit.node }] : []),
  { id: "json", title: texts.flows.document },
  { id: "code", title: texts.flows.code },
  { id: "findings", title: texts.edit.findings },
  { id: "versions", title: texts.edit.versions },
];

interface EditorProps {
  readonly first: FlowDocument;
  readonly operators: readonly Operator[];
}

function useSaving(document: FlowDocument, check: Check | undefined) {
  const { busy, error, work } = useWork();
  const [saved, setSaved] = useState<{ hash?: string; words: string; times: number }>({ words: "", times: 0 });
  const { value: folder } = useLoaded(() => ask<{ folder?: string }>("/studio/work"), []);
  const isWhole = check?.findings.length === 0;
  const save = () =>
    work(async () => {
      if (folder?.folder === undefined) {
        download(`${document.name}.flow.json`, printed(document));
        if (check?.typescript) download(`${document.name}.flow.ts`, check.typescript);
        return setSaved(({ times }) => ({ words: texts.edit.downloaded, times: times + 1 }));
      }
      const address = `/studio/work/${document.name}`;
      const { hash, files } = await ask<{ hash: string; files: string[] }>(address, {
        method: "PUT",
        body: { document },
      });
      if (isWhole) await ask(`/flows/${document.name}`, { method: "PUT", body: document });
      setSaved(({ times }) => ({ hash, words: texts.edit.saved(files.join(", "), folder.folder!), times: times + 1 }));
    });
  const run = () =>
    work(async () => {
      await ask(`/flows/${document.name}`, { method: "PUT", body: document });
      go(`${to("flows", document.name)}?view=run`);
    });
  return { busy, error, save, run, saved, isWhole };
}

function EditHead(props: {
  document: FlowDocument;
  check: Check | undefined;
  history: ReturnType<typeof useHistory<FlowDocument>>;
  saving: ReturnType<typeof useSaving>;
}) {
  const { document, check, history, saving } = props;
  const { busy, error, save, run, saved, isWhole } = saving;
  const isSaved = saved.hash !== undefined && saved.hash === check?.hash;
  return (
    <header className="stack tight">
      <div className="row">
        <h1 className="breaking">{document.name}</h1>
        <div className="row tight end">
          <button type="button" className="button small" disabled={!history.canUndo} onClick={history.undo}>
            {texts.edit.undo}
          </button>
          <button type="button" className="button small" disabled={!history.canRedo} onClick={history.redo}>
            {texts.edit.redo}
          </button>
          <button type="button" className="button small" disabled={busy || !isWhole} onClick={run}>
            {texts.edit.tryIt}
          </button>
          <button type="button" className="button small primary" disabled={busy || isSaved} onClick={save}>
            {texts.edit.save}
          </button>
        </div>
      </div>
      <Facts
        facts={[
          [
            texts.edit.content,
            <span key="hash" className="mono">
              {check?.hash?.slice(0, 12) ?? "–"}
            </span>,
          ],
          [texts.flows.calls, check?.bound ? count(check.bound.calls) : "–"],
          [texts.flows.tokens, check?.bound ? count(check.bound.tokens) : "–"],
          [texts.flows.steps, check?.bound ? count(check.bound.steps) : "–"],
          ["", check ? texts.edit.findingCount(check.findings.length) : texts.loading],
        ]}
      />
      <p className="small muted" role="status">
        {isSaved ? saved.words : saved.times > 0 && saved.hash === undefined ? saved.words : ""}
      </p>
      {error && <ErrorNote finding={error} />}
    </header>
  );
}

function Side(
  props: EditorProps & {
    document: FlowDocument;
    check: Check | undefined;
    checkError: Finding | undefined;
    change: (document: FlowDocument) => void;
    chosen: string | undefined;
    choose: (path: string | undefined) => void;
    saved: number;
  },
) {
  const { document, operators, check, checkError, change, chosen, choose, saved } = props;
  const [side, setSide] = useState("json");
  const [text, type] = useText(document, change);
  const byName = useMemo(() => new Map(operators.map((operator) => [operator.name, operator])), [operators]);
  const words = useMemo(() => [...byName.keys(), ...Object.keys(document.nodes)], [byName, document]);
  const node = chosen === undefined ? undefined : nodeAt(document, chosen);
  useEffect(
    () => setSide((before) => (chosen === undefined ? (before === "node" ? "json" : before) : "node")),
    [chosen],
  );
  const tabs = sides(node !== undefined);
  const shown = tabs.some(({ id }) => id === side) ? side : "json";
  return (
    <div className="side">
      <Tabs tabs={tabs} chosen={shown} choose={setSide} label={document.name} />
      <div role="tabpanel" className="panel" aria-label={tabs.find(({ id }) => id === shown)?.title}>
        <Suspense fallback={<Loading />}>
          {shown === "node" && node && (
            <NodePanel {...{ document, path: chosen!, node, operators: byName, check, change, choose }} />
          )}
          {shown === "json" && <JsonEditor text={text} label={texts.flows.document} words={words} change={type} />}
          {shown === "code" && <CodeView text={check?.typescript ?? texts.edit.noCode} name="flow.ts" />}
          {shown === "findings" && (
            <div className="stack">
              {checkError && <ErrorNote finding={checkError} />}
              {check?.findings.length === 0 && <p>{texts.edit.noFindings}</p>}
              {check && <FindingList findings={check.findings} show={(path) => choose(path.split(".")[0])} />}
              {check?.notices?.map(({ path, message }) => (
                <p key={path} className="small">
                  <span className="mono">{path}</span> {message}
                </p>
              ))}
            </div>
          )}
          {shown === "versions" && <Versions document={document} saved={saved} back={change} />}
        </Suspense>
      </div>
    </div>
  );
}

function Editor({ first, operators }: EditorProps) {
  const history = useHistory(first);
  const { now: document, set: change, undo, redo } = history;
  const { check, error } = useCheck(document);
  const [chosen, choose] = useState<string>();
  const edit = useWiring(document, check, change);
  const saving = useSaving(document, check);
  // a flow is drawn by its nodes, also where a text is not yet whole
  const add = (operator: Operator) => {
    const at = chosen !== undefined && typeof nodeAt(document, chosen)?.run === "object" ? chosen : document.name;
    const [next, path] = withOperator(
      document,
      chosen?.includes("/") && at !== chosen ? parentOf(chosen) : at,
      operator,
    );
    change(next);
    choose(path);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys of undo work wherever the focus is
    <div
      className="page whole editor"
      onKeyDown={(event) => {
        if (!(event.ctrlKey || event.metaKey) || (event.target as HTMLElement).closest(".cm-editor, input, textarea"))
          return;
        if (event.key === "z" && !event.shiftKey) undo();
        else if (event.key === "y" || (event.key === "z" && event.shiftKey)) redo();
        else return;
        event.preventDefault();
      }}
    >
      <EditHead document={document} check={check} history={history} saving={saving} />
      <div className="bench">
        <Palette operators={operators} add={add} />
        <Suspense fallback={<Loading />}>
          <FlowDrawing
            document={document}
            ports={check?.ports}
            findings={check?.findings}
            chosen={chosen}
            choose={(path) => choose(path && /<(in|out)put>$/.test(path) ? undefined : path)}
            edit={edit}
          />
        </Suspense>
        <Side
          {...{
            first,
            operators,
            document,
            check,
            checkError: error,
            change,
            chosen,
            choose,
            saved: saving.saved.times,
          }}
        />
      </div>
    </div>
  );
}

/** Which flow to edit, or a new one. */
function Choice() {
  const { value } = useLoaded(() => ask<{ flows: FlowSummary[] }>("/flows"), []);
  const { value: work } = useLoaded(() => ask<{ folder?: string; flows: { name: string }[] }>("/studio/work"), []);
  const [name, setName] = useState("my-flow");
  const isName = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name);
  const own = [
    ...new Set(
      [...(work?.flows ?? []), ...(value?.flows ?? []).filter(({ uploaded }) => uploaded)].map((one) => one.name),
    ),
  ];
  return (
    <div className="page">
      <h1>{texts.edit.title}</h1>
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault();
          if (isName) go(to("edit", name));
        }}
      >
        <div className="field">
          <label htmlFor="new-flow">{texts.edit.newName}</label>
          <input
            id="new-flow"
            className="input"
            value={name}
            aria-invalid={!isName}
            onChange={({ target }) => setName(target.value)}
          />
        </div>
        <button type="submit" className="button primary" disabled={!isName}>
          {texts.edit.begin}
        </button>
      </form>
      {own.length > 0 && (
        <section className="stack tight">
          <h2>{texts.flows.own}</h2>
          <ul className="rows">
            {own.map((one) => (
              <li key={one}>
                <a href={to("edit", one)}>{one}</a>
              </li>
            ))}
          </ul>
        </section>
      )}
      <p className="muted">{texts.edit.orCopy}</p>
    </div>
  );
}

/** The document of a run: that of a fork has its change. */
const documentOfRun = (run: string) => ask<{ document: FlowDocument }>(`/runs/${run}/document`);

export default function EditPage({ name, run }: { name: string | undefined; run: string | undefined }) {
  const { value, error } = useLoaded(async () => {
    if (name === undefined) return undefined;
    const [{ operators }, found, kept] = await Promise.all([
      ask<{ operators: Operator[] }>("/operators"),
      openFlow(name).catch(() => ({ document: emptyFlow(name), isOwn: true })),
      run === undefined ? undefined : documentOfRun(run),
    ]);
    const { isOwn } = found;
    const document = { ...(kept ?? found).document, name };
    // what the service began with cannot be replaced: a copy has a name of its own
    return { operators, document: isOwn ? document : { ...document, name: `${name}-copy`.slice(0, 64) } };
  }, [name, run]);
  if (name === undefined) return <Choice />;
  if (error)
    return (
      <div className="page">
        <ErrorNote finding={error} />
      </div>
    );
  return value ? (
    <Editor key={value.document.name} first={value.document} operators={value.operators} />
  ) : (
    <div className="page">
      <Loading />
    </div>
  );
}
