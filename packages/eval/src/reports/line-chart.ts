// internal: lineChart
interface LineChart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly {
    readonly name: string;
    readonly points: readonly { readonly x: number; readonly y: number; readonly label?: string }[];
  }[];
}

const colours = ["#1b6ca8", "#d1495b", "#2e933c", "#8f5db7", "#c98a1b"];
const [width, height, left, right, top, bottom] = [720, 420, 64, 140, 40, 52];

const escaped = (text: string): string => text.replace(/[&<>]/g, (mark) => `&#${mark.charCodeAt(0)};`);

/** Round steps (1, 2 or 5 times a power of ten), about five of them, over a range. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, i) => first + i * step);
}

/** A drawing of a few lines with named points, as SVG that needs no script and no network. */
export function lineChart({ title, x, y, lines }: LineChart): string {
  const points = lines.flatMap((line) => line.points);
  const range = (values: number[]): [number, number] => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = (high - low || Math.abs(high) || 1) * 0.1;
    return [low - margin, high + margin];
  };
  const [lowX, highX] = range(points.map((point) => point.x));
  const [lowY, highY] = range(points.map((point) => point.y));
  const atX = (value: number): number => left + ((value - lowX) / (highX - lowX)) * (width - left - right);
  const atY = (value: number): number => height - bottom - ((value - lowY) / (highY - lowY)) * (height - top - bottom);
  const number = (value: number): string => String(Number(value.toPrecision(3)));

  const grid = [
    ...ticks(lowX, highX).map(
      (value) =>
        `<line x1="${atX(value)}" x2="${atX(value)}" y1="${top}" y2="${height - bottom}" class="grid"/><text x="${atX(value)}" y="${height - bottom + 18}" text-anchor="middle">${number(value)}</text>`,
    ),
    ...ticks(lowY, highY).map(
      (value) =>
        `<line x1="${left}" x2="${width - right}" y1="${atY(value)}" y2="${atY(value)}" class="grid"/><text x="${left - 8}" y="${atY(value) + 4}" text-anchor="end">${number(value)}</text>`,
    ),
  ];
  const drawn = lines.map((line, i) => {
    const colour = colours[i % colours.length]!;
    const path = line.points.map((point) => `${atX(point.x).toFixed(1)},${atY(point.y).toFixed(1)}`).join(" ");
    const marks = line.points.map((point) => {
      const [cx, cy] = [atX(point.x).toFixed(1), atY(point.y).toFixed(1)];
      const label =
        i === 0 && point.label
          ? `<text x="${cx}" y="${Number(cy) - 10}" text-anchor="middle">${escaped(point.label)}</text>`
          : "";
      return `<circle cx="${cx}" cy="${cy}" r="4" fill="${colour}"/>${label}`;
    });
    const key = top + 14 + 22 * i;
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${marks.join("")}<circle cx="${width - right + 18}" cy="${key - 4}" r="4" fill="${colour}"/><text x="${width - right + 30}" y="${key}">${escaped(line.name)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img">`,
    `<title>${escaped(title)}</title>`,
    "<style>.grid{stroke:#ddd}</style>",
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="22" font-size="15" font-weight="600">${escaped(title)}</text>`,
    ...grid,
    ...drawn,
    `<text x="${(left + width - right) / 2}" y="${height - 12}" text-anchor="middle">${escaped(x)}</text>`,
    `<text x="16" y="${(top + height - bottom) / 2}" text-anchor="middle" transform="rotate(-90 16 ${(top + height - bottom) / 2})">${escaped(y)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}
