// which sources import each other in a circle. An import of types alone is gone at run time; every other one loads its file.
import { dirname, join } from "node:path";

const statement = /^(?:import|export)( type)?\s(?:[^;"']*?\sfrom\s*)?"(\.[^"]+)"/gm;

/** The files that a source imports by a path, of the given kind. */
export function importedFiles(place, text, { types }) {
  return [...text.matchAll(statement)]
    .filter(([, type]) => types || type === undefined)
    .map(([, , path]) => join(dirname(place), path).replace(/\.js$/, ".ts"));
}

/** Which of the sources each of them imports. */
const arrowsOf = (sources, kind) =>
  new Map(
    [...sources].map(([place, text]) => [place, importedFiles(place, text, kind).filter((to) => sources.has(to))]),
  );

/**
 * The circles of imports at run time among sources, one for each group of files that reach each other.
 * @param sources The text of each source by its place.
 */
export function circlesIn(sources) {
  const arrows = arrowsOf(sources, { types: false });
  const circles = [];
  const state = new Map(); // a place that is absent was not seen, true is on the way, false is done
  const way = [];
  const visit = (place) => {
    state.set(place, true);
    way.push(place);
    for (const next of arrows.get(place)) {
      if (state.get(next) === true) circles.push([...way.slice(way.indexOf(next)), next]);
      else if (!state.has(next)) visit(next);
    }
    way.pop();
    state.set(place, false);
  };
  for (const place of arrows.keys()) if (!state.has(place)) visit(place);
  return circles;
}

/** How a comment begins that says why sources name types of each other. */
const reason = /^\/\/ A circle of types: \S+/m;

/**
 * The groups of sources that reach each other when imports of types count too, and of which none says why.
 * @param sources The text of each source by its place.
 */
export function unexplainedCircles(sources) {
  const arrows = arrowsOf(sources, { types: true });
  const reached = (from) => {
    const seen = new Set();
    const next = [...arrows.get(from)];
    for (const place of next) {
      if (seen.has(place)) continue;
      seen.add(place);
      next.push(...arrows.get(place));
    }
    return seen;
  };
  const reach = new Map([...arrows.keys()].map((place) => [place, reached(place)]));
  const groups = new Map();
  for (const [place, ends] of reach) {
    if (!ends.has(place)) continue;
    const group = [...ends].filter((end) => reach.get(end).has(place)).sort();
    groups.set(group[0], group);
  }
  return [...groups.values()].filter((group) => !group.some((place) => reason.test(sources.get(place))));
}
