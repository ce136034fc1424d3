import type { Answer, Citation } from "@tessera/core";

/** Gives the citations of several answers common markers, one a passage, and writes them into the texts. */
export function renumber(answers: readonly Answer[]): { texts: string[]; citations: Map<number, Citation> } {
  const markers = new Map<string, Citation>();
  for (const { passage, ...rest } of answers.flatMap(({ citations }) => citations))
    if (!markers.has(passage)) markers.set(passage, { ...rest, passage, marker: markers.size + 1 });
  const texts = answers.map(({ text, citations }) =>
    text.replace(/\[(\d{1,4})\]/g, (_, digits) => {
      const cited = citations.find(({ marker }) => marker === Number(digits));
      return cited ? `[${markers.get(cited.passage)!.marker}]` : "";
    }),
  );
  return { texts, citations: new Map([...markers.values()].map((citation) => [citation.marker, citation])) };
}
