/** One notation for `text.template` and `text.match`: `{name}` is a place, `{name[]}` a list, `{{` and `}}` are braces. */
export type Part = { readonly literal: string } | { readonly name: string; readonly list: boolean };

const place = /^\{([A-Za-z][A-Za-z0-9_-]{0,63})(\[\])?\}/;

/** The parts of a pattern, or what is wrong with it. */
export function parsePattern(pattern: string): Part[] | string {
  const parts: Part[] = [];
  let literal = "";
  for (let at = 0; at < pattern.length; ) {
    const rest = pattern.slice(at, at + 70);
    const found = place.exec(rest);
    if (rest.startsWith("{{") || rest.startsWith("}}")) {
      literal += rest[0];
      at += 2;
    } else if (found) {
      if (literal) parts.push({ literal });
      literal = "";
      parts.push({ name: found[1]!, list: found[2] !== undefined });
      at += found[0].length;
    } else if (rest[0] === "{" || rest[0] === "}") {
      return `character ${at + 1}: a place is written {name}; a brace itself is written ${rest[0]}${rest[0]}`;
    } else {
      literal += pattern[at];
      at += 1;
    }
  }
  if (literal) parts.push({ literal });
  return parts;
}

export const namesOf = (parts: readonly Part[]): Map<string, boolean> =>
  new Map(parts.flatMap((part) => ("name" in part ? [[part.name, part.list] as const] : [])));

/** The names of a literal pattern's places; of a pattern that is not literal, any name. */
export type Places<T extends string> = string extends T
  ? string
  : T extends `${infer _}{${infer Rest}`
    ? Rest extends `{${infer After}`
      ? Places<After>
      : Rest extends `${infer Name}}${infer After}`
        ? Name | Places<After>
        : never
    : never;
