import { words } from "@tessera/text";

/** Equation 19 with erratum E8: score(F) = |K_F ∩ K_query| / |K_query|, and 0 where the query has no keyword. */
export function keywordScores(routes: ReadonlyMap<string, ReadonlySet<string>>, keywords: ReadonlySet<string>) {
  return new Map(
    [...routes].map(([route, own]) => {
      const common = [...keywords].filter((keyword) => own.has(keyword)).length;
      return [route, keywords.size === 0 ? 0 : common / keywords.size] as const;
    }),
  );
}

/** Keywords in the form in which they are compared. */
export const keywordSet = (keywords: readonly string[]): Set<string> =>
  new Set(keywords.map((keyword) => words(keyword).join(" ")).filter((keyword) => keyword !== ""));

/** The keywords of any route, of one word or of several, that stand in a text. */
export function keywordsOf(query: string, routes: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const spoken = ` ${words(query).join(" ")} `;
  return new Set([...routes.values()].flatMap((own) => [...own]).filter((keyword) => spoken.includes(` ${keyword} `)));
}

/** The route of the highest score, the first declared where several have it. */
export function highest(scores: ReadonlyMap<string, number>): [route: string, score: number] {
  return [...scores].reduce((best, next) => (next[1] > best[1] ? next : best));
}
