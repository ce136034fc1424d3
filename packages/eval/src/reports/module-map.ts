// internal: moduleText, moduleSvg
import type { Frequencies } from "@tessera/models/internal";

type Domains = Readonly<Record<string, Frequencies>>;
interface Part {
  readonly name: string;
  /** [domains][modules]: shares that sum to 1 in each domain. */
  readonly shares: readonly (readonly number[])[];
}

const kinds = ["attention", "feedforward"] as const;

/** One part a router, in the order of computing. */
function parts(domains: Domains): Part[] {
  const all = Object.values(domains);
  return Array.from({ length: all[0]?.attention.length ?? 0 }, (_, layer) =>
    kinds.map((kind) => ({
      name: `layer ${layer} ${kind}`,
      shares: all.map((frequencies) => frequencies[kind][layer]!),
    })),
  ).flat();
}

const shades = " ░▒▓█";

/** A share against an equal one: 0 for never, 1 for three times as often or more. */
const strength = (share: number, modules: number): number => Math.min(1, (share * modules) / 3);

/** Which modules serve which domain, as text: one row a domain, one character a module, darker the more often. */
export function moduleText(domains: Domains): string {
  const names = Object.keys(domains);
  const wide = Math.max(...names.map((name) => name.length));
  return parts(domains)
    .map(({ name, shares }) => {
      const rows = shares.map((modules, i) => {
        const cells = modules.map((share) => shades[Math.ceil(strength(share, modules.length) * (shades.length - 1))]);
        return `  ${names[i]!.padEnd(wide)} │${cells.join("")}│`;
      });
      return [name, ...rows].join("\n");
    })
    .join("\n");
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
const cell = 16;
const left = 130;

/** The same as SVG that needs no script and no network; each square says its share. */
export function moduleSvg(title: string, domains: Domains): string {
  const names = Object.keys(domains);
  const all = parts(domains);
  const most = Math.max(1, ...all.flatMap(({ shares }) => shares.map(({ length }) => length)));
  const partHeight = (names.length + 2) * cell;
  const [width, height] = [left + (most + 1) * cell, 40 + all.length * partHeight];
  const drawn = all.map(({ name, shares }, p) => {
    const top = 40 + p * partHeight;
    const rows = shares.map((modules, row) => {
      const y = top + (row + 1) * cell;
      const squares = modules.map((share, module) => {
        const about = `${names[row]}, ${name}, module ${module}: ${(100 * share).toFixed(1)} %`;
        const opacity = strength(share, modules.length).toFixed(3);
        return `<rect x="${left + module * cell}" y="${y}" width="${cell - 1}" height="${cell - 1}" fill="#1b6ca8" fill-opacity="${opacity}" stroke="#ddd"><title>${escaped(about)}</title></rect>`;
      });
      return `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escaped(names[row]!)}</text>${squares.join("")}`;
    });
    return `<text x="${left}" y="${top + 10}" font-weight="600">${escaped(name)}</text>${rows.join("")}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="8" y="22" font-size="14" font-weight="600">${escaped(title)}</text>`,
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}
