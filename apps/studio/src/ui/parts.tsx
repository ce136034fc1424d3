import { type ReactNode, useId, useRef } from "react";
import type { Finding, RunStatus } from "../api/types.js";
import { texts } from "../texts.js";

/** An error with its code, place and hint; all findings where there are several. */
export function ErrorNote({ finding }: { finding: Finding }) {
  return (
    <div className="note bad stack tight" role="alert">
      <p className="breaking">
        {finding.message} <code>{finding.code}</code>
      </p>
      {finding.path !== undefined && <p className="small mono breaking">{finding.path}</p>}
      {finding.hint !== undefined && <p className="small muted breaking">{finding.hint}</p>}
      {finding.findings && finding.findings.length > 0 && <FindingList findings={finding.findings} />}
    </div>
  );
}

export function FindingList({ findings, show }: { findings: readonly Finding[]; show?: (path: string) => void }) {
  return (
    <ul className="stack tight">
      {findings.map((finding, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: findings have no identity of their own
        <li key={index} className="finding">
          <p className="breaking">{finding.message}</p>
          <p className="small muted breaking">
            <code>{finding.code}</code>{" "}
            {finding.path !== undefined &&
              (show ? (
                <button type="button" className="link mono" onClick={() => show(finding.path!)}>
                  {finding.path}
                </button>
              ) : (
                <span className="mono">{finding.path}</span>
              ))}
            {finding.hint !== undefined && <> · {finding.hint}</>}
          </p>
        </li>
      ))}
    </ul>
  );
}

export const Status = ({ status }: { status: RunStatus }) => (
  <span className={`status ${status}`}>{texts.status[status]}</span>
);

export const Loading = () => (
  <p className="muted" role="status">
    {texts.loading}
  </p>
);

export function Facts({ facts }: { facts: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export interface Tab {
  readonly id: string;
  readonly title: string;
}

/** A row of tabs that the arrow keys move through; the panel is the caller's, with `role="tabpanel"`. */
export function Tabs(props: { tabs: readonly Tab[]; chosen: string; choose: (id: string) => void; label: string }) {
  const { tabs, chosen, choose, label } = props;
  const list = useRef<HTMLDivElement>(null);
  const move = (by: number) => {
    const next = tabs[(tabs.findIndex(({ id }) => id === chosen) + by + tabs.length) % tabs.length]!;
    choose(next.id);
    requestAnimationFrame(() => list.current?.querySelector<HTMLElement>('[aria-selected="true"]')?.focus());
  };
  return (
    <div
      className="tabs"
      role="tablist"
      aria-label={label}
      ref={list}
      onKeyDown={({ key }) => {
        if (key === "ArrowRight") move(1);
        if (key === "ArrowLeft") move(-1);
      }}
    >
      {tabs.map(({ id, title }) => (
        <button
          key={id}
          type="button"
          role="tab"
          aria-selected={id === chosen}
          tabIndex={id === chosen ? 0 : -1}
          onClick={() => choose(id)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}

/** A panel at the side of the window that Escape closes. */
export function Drawer({ title, close, children }: { title: ReactNode; close: () => void; children: ReactNode }) {
  const id = useId();
  return (
    <dialog
      className="drawer"
      aria-labelledby={id}
      ref={(element) => {
        if (element && !element.open) element.showModal();
      }}
      onCancel={close}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
      onKeyDown={() => {}}
    >
      <div className="drawer-body">
        <header className="row">
          <h2 id={id} className="breaking">
            {title}
          </h2>
          <button type="button" className="button small row end" onClick={close}>
            {texts.close}
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function Copy({ text }: { text: string }) {
  return (
    <button type="button" className="button small quiet" onClick={() => void navigator.clipboard.writeText(text)}>
      {texts.copy}
    </button>
  );
}
