// internal: closingOf, jsonValuesIn

/** Where the value that opens with a bracket at a place ends, or `undefined` where it does not. */
export function closingOf(text: string, from: number): number | undefined {
  const open: string[] = [];
  const token = /"(?:[^"\\\n]|\\.)*"|[[\]{}]/g;
  token.lastIndex = from;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [sign] = found;
    if (sign === "[" || sign === "{") open.push(sign === "[" ? "]" : "}");
    else if (!sign.startsWith('"') && open.pop() !== sign) return undefined;
    if (open.length === 0) return token.lastIndex;
  }
  return undefined;
}

const mostTried = 50;

/**
 * The JSON values that stand in what a model said, in their order: all of it where it is one, else the objects and lists between
 * other words, in code blocks too. At most 50 brackets are tried.
 */
export function* jsonValuesIn(text: string): Generator<unknown> {
  const parsed = (part: string): { value: unknown } | undefined => {
    try {
      return { value: JSON.parse(part) };
    } catch {
      return undefined;
    }
  };
  const fenced = /^\s*(?:```|~~~)\w*[ \t]*\n([\s\S]*?)\n?[ \t]*(?:```|~~~)\s*$/.exec(text)?.[1];
  const whole = parsed(text) ?? (fenced === undefined ? undefined : parsed(fenced));
  if (whole) return yield whole.value;
  const opening = /[[{]/g;
  let tried = 0;
  for (let found = opening.exec(text); found && tried++ < mostTried; found = opening.exec(text)) {
    const end = closingOf(text, found.index);
    const inner = end === undefined ? undefined : parsed(text.slice(found.index, end));
    if (!inner) continue;
    yield inner.value;
    opening.lastIndex = end!;
  }
}
