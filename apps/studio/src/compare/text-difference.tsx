import { diffLines, diffWordsWithSpace } from "diff";
import { useMemo } from "react";
import { texts } from "../texts.js";

const context = 3; // lines around a change

/** The lines of an unchanged part that stand next to a change. */
function nearby(text: string, isFirst: boolean, isLast: boolean): string {
  const lines = text.split("\n");
  if (lines.length <= 2 * context + 2) return text;
  const head = isFirst ? [] : lines.slice(0, context);
  const tail = isLast ? [] : lines.slice(-context - 1);
  return [...head, `⋯ ${lines.length - head.length - tail.length}`, ...tail].join("\n");
}

/** Two texts as one, in which what went and what came is marked: by words, or by lines with what stands around them. */
export default function TextDifference({
  before,
  after,
  by,
}: {
  before: string;
  after: string;
  by: "words" | "lines";
}) {
  const parts = useMemo(
    () => (by === "words" ? diffWordsWithSpace(before, after) : diffLines(before, after)),
    [before, after, by],
  );
  if (before === after) return <p className="muted">{texts.compare.equal}</p>;
  return (
    <p className={`text difference${by === "lines" ? " mono" : ""}`}>
      {parts.map(({ value, added, removed }, index) => {
        const key = `${index} ${value.length}`;
        if (added) return <ins key={key}>{value}</ins>;
        if (removed) return <del key={key}>{value}</del>;
        const shown = by === "lines" ? nearby(value, index === 0, index === parts.length - 1) : value;
        return <span key={key}>{shown}</span>;
      })}
    </p>
  );
}
