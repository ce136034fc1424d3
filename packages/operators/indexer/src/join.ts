import type { Passage } from "@tessera/core";

/** Consecutive children of one passage as one, without what windows share, from the first line to the last. */
export function joined(children: ReadonlyMap<number, Passage>): Passage {
  const numbers = [...children.keys()].sort((a, b) => a - b);
  const [first, last] = [children.get(numbers[0]!)!, children.get(numbers.at(-1)!)!];
  const spanOf = ({ metadata }: Passage) => metadata.span as [number, number];
  const { sentence, window, ...metadata } = first.metadata;
  const range = [numbers[0]!, numbers.at(-1)!];
  let end = spanOf(first)[0];
  const text = numbers.map((number) => {
    const child = children.get(number)!;
    const [from, to] = spanOf(child);
    const fresh = child.text.slice(Math.max(0, end - from));
    end = Math.max(end, to);
    return fresh;
  });
  return {
    ...first,
    id: numbers.length === 1 ? first.id : `${first.id}-${numbers.at(-1)}`,
    text: text.join(""),
    ...(first.source?.lines &&
      last.source?.lines && { source: { ...first.source, lines: [first.source.lines[0], last.source.lines[1]] } }),
    metadata: {
      ...metadata,
      span: [spanOf(first)[0], end],
      ...(window === undefined ? { sentences: range } : { windows: range }),
    },
  };
}
