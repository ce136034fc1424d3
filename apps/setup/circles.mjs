// which sources import each other in a circle. An import of types alone is gone at run time; every other one loads its file.
import { dirname, join } from "node:path";

const statement = /^(?:import|export)( type)?\s(?:[^;"']*?\sfrom\s*)?"(\.[^"]+)"/gm;

/** The files that a source imports by a path, of the given kind. */
export function importedFiles(place, text, { types }) {
  return [...text.matchAll(statement)]
    .filter(([, type]) => types || type === undefined)
    .map(([, , path]) => join(dirname(place), path).replace(/\.js$/, ".ts"));
}

/**
 * The circles of imports among sources, one for each group of files that reach each other.
 * @param sources The text of each source by its place.
 */
export function circlesIn(sources, { types = false } = {}) {
  const arrows = new Map(
    [...sources].map(([place, text]) => [place, importedFiles(place, text, { types }).filter((to) => sources.has(to))]),
  );
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
