import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { texts } from "../texts.js";
import { count, duration } from "../ui/numbers.js";
import type { RunModel, Step } from "./run-model.js";

const rowHeight = 34;

const share = (part: number, all: number): string =>
  `${Math.max(0, Math.min(100, (part / Math.max(all, 0.001)) * 100))}%`;

function Row({ step, total, isChosen }: { step: Step; total: number; isChosen: boolean }) {
  const name = step.path.slice(step.path.lastIndexOf("/") + 1);
  const ms = step.ms ?? (step.status === "running" ? Math.max(0, total - step.start) : 0);
  return (
    <>
      <span className="what" style={{ paddingInlineStart: `${step.depth * 0.75}rem` }} title={step.path}>
        <span className={isChosen ? "strong" : ""}>{name}</span> <span className="muted">{step.operator}</span>
      </span>
      <span className="bar" aria-hidden="true">
        <span className={step.status} style={{ insetInlineStart: share(step.start, total), width: share(ms, total) }} />
      </span>
      <span className="number">
        {step.status === "skipped" || step.status === "failed" ? texts.stepStatus[step.status] : duration(ms)}
      </span>
      <span className="number muted">{step.tokens > 0 ? `${count(step.tokens)} tok` : ""}</span>
    </>
  );
}

/** The steps of a run over time. Only the rows in sight are there; the arrow keys choose among all. */
export function Waterfall(props: { run: RunModel; chosen: string | undefined; choose: (path: string) => void }) {
  const { run, chosen, choose } = props;
  const { steps } = run;
  const holder = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: steps.length,
    getScrollElement: () => holder.current,
    estimateSize: () => rowHeight,
    overscan: 12,
  });
  const at = chosen === undefined ? -1 : steps.findIndex(({ path }) => path === chosen);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when another step is chosen
  useEffect(() => {
    if (at >= 0) rows.scrollToIndex(at);
  }, [at]);
  const move = (to: number) => {
    const step = steps[Math.max(0, Math.min(steps.length - 1, to))];
    if (step) choose(step.path);
  };
  const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: steps.length - 1 };
  const total = Math.max(run.now, ...steps.slice(0, 50).map(({ start, ms = 0 }) => start + ms));
  return (
    <div
      ref={holder}
      className="waterfall"
      role="listbox"
      tabIndex={0}
      aria-label={texts.run.steps}
      aria-activedescendant={at >= 0 ? `step-${at}` : undefined}
      onKeyDown={(event) => {
        const to = moves[event.key];
        if (to === undefined) return;
        event.preventDefault();
        move(to);
      }}
    >
      <div style={{ height: rows.getTotalSize(), position: "relative" }} role="presentation">
        {rows.getVirtualItems().map(({ index, start }) => {
          const step = steps[index]!;
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the list takes the keys
            <div
              key={step.path}
              id={`step-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === at}
              aria-posinset={index + 1}
              aria-setsize={steps.length}
              className={`wrow ${step.status}`}
              style={{ transform: `translateY(${start}px)`, height: rowHeight }}
              onClick={() => choose(step.path)}
            >
              <Row step={step} total={total} isChosen={index === at} />
            </div>
          );
        })}
      </div>
    </div>
  );
}
