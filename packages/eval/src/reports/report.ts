import { showNumber } from "../measures/statistics.js";
import type { QuestionResult } from "../runs/results.js";
import { compare, type Figure, type Summary } from "./figures.js";

/** One cell of a grid: what a flow did with a data set under a model. */
export interface GridCell {
  readonly data: string;
  readonly flow: string;
  /** The model's name, or "none" where the flow asks none. */
  readonly model: string;
  readonly summary: Summary;
  readonly results: readonly QuestionResult[];
}

/** The measures that a report shows where a cell has them, in this order. */
export const reported = [
  "recall@5",
  "all-gold@5",
  "MRR",
  "cites gold",
  "EM",
  "F1",
  "accuracy",
  "refuses",
  "retrieval rate",
  "retrievals",
  "calls",
  "tokens",
  "milliseconds",
] as const;

const quoted = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);

const labelOf = ({ flow, model }: GridCell): string => (model === "none" ? flow : `${flow} · ${model}`);

/** Means with their intervals as dots on bars, one row a cell, from 0 to 1 or to the largest. */
function plot(metric: string, rows: readonly { label: string; figure: Figure }[]): string {
  const most = Math.max(1, ...rows.map(({ figure }) => figure.high));
  const longest = Math.max(...rows.map(({ label }) => label.length));
  const [left, width, height] = [Math.max(190, 20 + 7 * longest), 420, 24];
  const x = (value: number) => (left + (Math.max(0, value) / most) * width).toFixed(1);
  const lines = rows.map(({ label, figure }, index) => {
    const y = 20 + index * height;
    return `<text x="${left - 10}" y="${y + 4}" text-anchor="end">${quoted(label)}</text><line x1="${x(figure.low)}" x2="${x(figure.high)}" y1="${y}" y2="${y}" class="interval"/><circle cx="${x(figure.mean)}" cy="${y}" r="5"/><text x="${left + width + 12}" y="${y + 4}">${showNumber(figure.mean)}</text>`;
  });
  const bottom = 20 + rows.length * height;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${x(share * most)}" x2="${x(share * most)}" y1="6" y2="${bottom - 10}" class="tick"/><text x="${x(share * most)}" y="${bottom + 8}" text-anchor="middle" class="axis">${showNumber(share * most).replace(/\.?0+$/, "")}</text>`,
  );
  return `<figure><figcaption>${quoted(metric)}</figcaption><svg viewBox="0 0 ${left + width + 80} ${bottom + 14}" role="img" aria-label="${quoted(metric)}">${ticks.join("")}${lines.join("")}</svg></figure>`;
}

/** A cell whose every question failed is compared with nothing. */
const answered = ({ results }: GridCell): boolean => results.some(({ error }) => !error);

function section(data: string, cells: readonly GridCell[], against: string): string {
  const metrics = reported.filter((metric) =>
    cells.some(({ summary }) => summary.figures.some((one) => one.metric === metric)),
  );
  const figureOf = ({ summary }: GridCell, metric: string) => summary.figures.find((one) => one.metric === metric);
  const rows = cells.map((cell) => {
    const values = metrics.map((metric) => {
      const figure = figureOf(cell, metric);
      return figure
        ? `<td>${showNumber(figure.mean)} <small>[${showNumber(figure.low)}, ${showNumber(figure.high)}]</small></td>`
        : "<td>–</td>";
    });
    return `<tr><th scope="row">${quoted(labelOf(cell))}</th><td>${cell.summary.questions}${cell.summary.failed > 0 ? ` <small>(${cell.summary.failed} failed)</small>` : ""}</td>${values.join("")}</tr>`;
  });
  const plots = metrics
    .filter((metric) => !["calls", "tokens", "milliseconds", "retrieval rate", "retrievals"].includes(metric))
    .map((metric) =>
      plot(
        metric,
        cells.flatMap((cell) => {
          const figure = figureOf(cell, metric);
          return figure ? [{ label: labelOf(cell), figure }] : [];
        }),
      ),
    );
  // plain RAG by the same model, where that was measured
  const bases = cells.filter(({ flow }) => flow === against);
  const baseOf = ({ model }: GridCell) => bases.find((base) => base.model === model) ?? bases[0];
  const differences = cells
    .filter((cell) => baseOf(cell) && cell !== baseOf(cell) && [cell, baseOf(cell)!].every(answered))
    .flatMap((cell) => compare(baseOf(cell)!.results, cell.results).differences.map((one) => ({ cell, ...one })))
    .filter(({ metric }) => (reported as readonly string[]).includes(metric) && metric !== "milliseconds")
    .map(({ cell, metric, difference, larger, smaller, equal, questions }) => {
      const list = questions
        .slice(0, 10)
        .map(
          ({ question, left, right }) =>
            `<li>${quoted(question)} <small>${showNumber(left)} → ${showNumber(right)}</small></li>`,
        );
      return `<tr><th scope="row">${quoted(labelOf(cell))} − ${quoted(against)}</th><td>${metric}</td><td>${showNumber(difference.mean)} <small>[${showNumber(difference.low)}, ${showNumber(difference.high)}]</small></td><td>${difference.p.toFixed(3)}</td><td>${larger} / ${smaller} / ${equal}</td><td>${list.length > 0 ? `<details><summary>${questions.length} ${questions.length === 1 ? "question" : "questions"}</summary><ol>${list.join("")}</ol></details>` : ""}</td></tr>`;
    });
  return `<section><h2>${quoted(data)}</h2><table><thead><tr><th>flow</th><th>questions</th>${metrics.map((metric) => `<th>${metric}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table><div class="plots">${plots.join("")}</div>${differences.length > 0 ? `<h3>Question by question, against ${quoted(against)}</h3><table><thead><tr><th></th><th>measure</th><th>difference</th><th>p</th><th>larger / smaller / same</th><th></th></tr></thead><tbody>${differences.join("")}</tbody></table>` : ""}</section>`;
}

const style = `:root{color-scheme:light dark;--ink:#1c2430;--soft:#6a7482;--line:#d8dde4;--mark:#1766c2;--page:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#36404d;--mark:#6ab0ff;--page:#14191f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:2rem auto;max-width:1180px;padding:0 1rem}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:2px solid var(--mark)}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}th[scope=row],thead th:first-child{text-align:left}small{color:var(--soft)}
details{text-align:left;white-space:normal;max-width:26rem}summary{white-space:nowrap}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:1rem;margin:1rem 0}
figure{margin:0}figcaption{font-weight:600}svg{width:100%;font-size:13px}svg text{fill:var(--ink)}.axis{fill:var(--soft);font-size:11px}.tick{stroke:var(--line)}.interval{stroke:var(--mark);stroke-width:3}circle{fill:var(--mark)}`;

/**
 * A grid as one HTML page that needs nothing else: a table and plots with 95 % intervals for each data set, and the
 * differences of every flow from one of them by paired bootstrap, with the questions on which they differ most.
 * @param against the flow that others are compared with, plain RAG as a rule.
 */
export function htmlReport(
  cells: readonly GridCell[],
  { title, note, against }: { title: string; note: string; against: string },
): string {
  const sections = [...new Set(cells.map(({ data }) => data))].map((data) =>
    section(
      data,
      cells.filter((cell) => cell.data === data),
      against,
    ),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${quoted(title)}</title><style>${style}</style></head>
<body><h1>${quoted(title)}</h1><p>${quoted(note)}</p>${sections.join("\n")}</body></html>
`;
}
