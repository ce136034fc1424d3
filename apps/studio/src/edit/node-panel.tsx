import { useId, useState } from "react";
import type { Check, FlowDocument, Json, NodeDocument, Operator, Schema, Source } from "../api/types.js";
import { texts } from "../texts.js";
import { SchemaField, SchemaForm, type Values } from "../ui/schema-form.js";
import { nameOf, parentOf, renamed, unwired, wired, withNode } from "./document.js";
import { portsAround } from "./wires.js";

interface PanelProps {
  readonly document: FlowDocument;
  readonly path: string;
  readonly node: NodeDocument;
  readonly operators: ReadonlyMap<string, Operator>;
  readonly check: Check | undefined;
  readonly change: (document: FlowDocument) => void;
  readonly choose: (path: string | undefined) => void;
}

const shown = (source: Source | undefined): string =>
  source === undefined ? "" : typeof source === "string" ? source : JSON.stringify(source);

/** What feeds a port: a choice of all ports that fit, which works by keys alone. */
function SourceChoice({ document, path, node, check, change, port }: PanelProps & { port: string }) {
  const id = useId();
  const source = node.in[port];
  const around = portsAround(document, path, port, check);
  const type = check?.ports?.[path]?.input[port];
  return (
    <div className="field">
      <label htmlFor={id}>
        {port} {type && <span className="muted">{type.words}</span>}
      </label>
      <select
        id={id}
        className="input"
        value={shown(source)}
        onChange={({ target }) => {
          const found = around.find(({ reference }) => reference === target.value);
          if (target.value === "") change(unwired(document, path, port));
          else if (found?.fits) change(wired(document, { ...found.wire, to: path, toPort: port }, found.fits));
        }}
      >
        <option value="">{texts.edit.notFed}</option>
        {source !== undefined && !around.some(({ reference }) => reference === source) && (
          <option value={shown(source)}>{shown(source)}</option>
        )}
        {around.map(({ reference, words, fits }) => (
          <option key={reference} value={reference} disabled={!fits}>
            {reference} · {words}
            {fits ? "" : ` · ${texts.edit.doesNotFit}`}
          </option>
        ))}
      </select>
    </div>
  );
}

function Rename({ document, path, change, choose }: PanelProps) {
  const [typed, setTyped] = useState(nameOf(path));
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{texts.edit.name}</label>
      <input
        id={id}
        className="input"
        value={typed}
        onChange={({ target }) => setTyped(target.value)}
        onBlur={() => {
          const next = renamed(document, path, typed);
          if (next === document) return setTyped(nameOf(path));
          change(next);
          choose(`${parentOf(path)}/${typed}`);
        }}
      />
    </div>
  );
}

const rules: Readonly<Record<"when" | "each" | "repeat" | "policy", Schema>> = {
  when: { type: "json", description: texts.edit.whenHint },
  each: { type: "json", description: texts.edit.eachHint },
  repeat: { type: "json", description: texts.edit.repeatHint },
  policy: { type: "json", description: texts.edit.policyHint },
};

/** Everything of one node: its name, what feeds it, its settings, and when and how often it runs. */
export function NodePanel(props: PanelProps) {
  const { document, path, node, operators, check, change, choose } = props;
  const operator = typeof node.run === "string" ? operators.get(node.run) : undefined;
  const ports = Object.keys(check?.ports?.[path]?.input ?? operator?.ports?.input ?? node.in);
  const set = (part: Partial<NodeDocument>) => change(withNode(document, path, (before) => ({ ...before, ...part })));
  return (
    <div className="stack wide">
      <header className="stack tight">
        <h2 className="mono breaking">{typeof node.run === "string" ? node.run : node.run.name}</h2>
        {operator && <p className="muted small">{operator.about.summary}</p>}
      </header>
      <Rename key={path} {...props} />
      <section className="stack">
        <h3>{texts.edit.feeds}</h3>
        {ports.map((port) => (
          <SourceChoice key={port} {...props} port={port} />
        ))}
      </section>
      {operator && Object.keys(operator.config.properties ?? {}).length > 0 && (
        <section className="stack">
          <h3>{texts.edit.settings}</h3>
          <SchemaForm
            schema={operator.config}
            values={(node.with ?? {}) as Values}
            change={(values) => set({ with: Object.keys(values).length > 0 ? (values as Json) : undefined })}
          />
        </section>
      )}
      <details>
        <summary>{texts.edit.rules}</summary>
        <div className="stack">
          {(Object.keys(rules) as (keyof typeof rules)[]).map((rule) => (
            <SchemaField
              key={`${path} ${rule}`}
              name={rule}
              schema={rules[rule]}
              value={node[rule] as Json | undefined}
              required={false}
              change={(value) => set({ [rule]: value })}
            />
          ))}
        </div>
      </details>
      <div>
        <button
          type="button"
          className="button small danger"
          onClick={() => {
            change(withNode(document, path, () => undefined));
            choose(undefined);
          }}
        >
          {texts.edit.remove}
        </button>
      </div>
    </div>
  );
}
