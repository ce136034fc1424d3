import { texts } from "../texts.js";
import type { Interval, Measured } from "./use-evaluation.js";

const width = 520;
const left = 150;
const row = 28;

/** Means with their 95 % intervals, one line a flow. */
export function IntervalPlot({
  metric,
  rows,
}: {
  metric: string;
  rows: readonly (Interval & { readonly flow: string })[];
}) {
  const low = Math.min(0, ...rows.map((one) => one.low));
  const high = Math.max(...rows.map((one) => one.high), low + 1e-9);
  const at = (value: number) => left + ((value - low) / (high - low)) * (width - left - 70);
  return (
    <svg
      className="plot"
      viewBox={`0 0 ${width} ${rows.length * row + 8}`}
      role="img"
      aria-label={texts.evaluate.plot(metric)}
    >
      {rows.map(({ flow, mean, low: from, high: to }, index) => {
        const y = index * row + row / 2 + 4;
        return (
          <g key={flow}>
            <text x={0} y={y + 4}>
              {flow.length > 20 ? `${flow.slice(0, 19)}…` : flow}
            </text>
            <line x1={at(from)} x2={at(to)} y1={y} y2={y} />
            <circle cx={at(mean)} cy={y} r={5} />
            <text x={at(to) + 10} y={y + 4}>
              {mean.toFixed(3)}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

/** Differences with their 95 % intervals around the line of no difference. */
export function DifferencePlot(props: { rows: readonly (Interval & { readonly name: string })[]; label: string }) {
  const { rows, label } = props;
  const reach = Math.max(...rows.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]), 1e-9);
  const middle = left + (width - left - 70) / 2;
  const at = (value: number) => middle + (value / reach) * ((width - left - 70) / 2);
  return (
    <svg className="plot" viewBox={`0 0 ${width} ${rows.length * row + 8}`} role="img" aria-label={label}>
      <line className="axis" x1={middle} x2={middle} y1={0} y2={rows.length * row + 8} />
      {rows.map(({ name, mean, low, high }, index) => {
        const y = index * row + row / 2 + 4;
        return (
          <g key={name}>
            <text x={0} y={y + 4}>
              {name}
            </text>
            <line x1={at(low)} x2={at(high)} y1={y} y2={y} />
            <circle cx={at(mean)} cy={y} r={5} />
            <text x={width - 55} y={y + 4}>
              {mean < 0 ? "−" : "+"}
              {Math.abs(mean).toFixed(3)}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

/** Quality against cost: each flow as a point. */
export function CostPlot({ measured, metric, cost }: { measured: Measured; metric: string; cost: string }) {
  const points = measured.summaries.flatMap(({ flow, figures }) => {
    const [quality, price] = [metric, cost].map((name) => figures.find((figure) => figure.metric === name)?.mean);
    return quality === undefined || price === undefined ? [] : [{ flow, quality, price }];
  });
  if (points.length === 0) return null;
  const [most, best] = [
    Math.max(...points.map(({ price }) => price), 1e-9),
    Math.max(...points.map(({ quality }) => quality), 1e-9),
  ];
  const x = (price: number) => 48 + (price / most) * (width - 200);
  const y = (quality: number) => 190 - (quality / best) * 160;
  return (
    <svg className="plot" viewBox={`0 0 ${width} 230`} role="img" aria-label={texts.evaluate.costPlot(metric, cost)}>
      <line className="axis" x1={48} x2={width - 100} y1={190} y2={190} />
      <line className="axis" x1={48} x2={48} y1={20} y2={190} />
      <text x={48} y={218}>
        {cost} →
      </text>
      <text x={0} y={14}>
        ↑ {metric}
      </text>
      {points.map(({ flow, quality, price }) => (
        <g key={flow}>
          <circle cx={x(price)} cy={y(quality)} r={5} />
          <text x={x(price) + 10} y={y(quality) + 4}>
            {flow}
          </text>
        </g>
      ))}
    </svg>
  );
}
