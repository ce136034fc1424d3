import { cite, type Hit, type Passage } from "@tessera/core";
import { type Place, placesOf } from "./places.js";
import type { Found, Quoted } from "./quotes.js";

/** What an answer may be of: a hit with what it holds of the question. */
export interface Candidate extends Found {
  /** Its score, from the least of the hits, 0, to the best, 1; with what its description or best sentence covers. */
  readonly score: number;
  /** How far it answers, in units of what an answer needs: 1 is enough. */
  readonly evidence: number;
}

/** How much a description or sentence that covers the whole question moves a passage, on the scale of the hits' scores. */
export const described = 0.2;
/** How far a test, or what others wrote, is moved back. */
export const aside = 0.15;

/** The scores from the least, 0, to the best, 1; where all are equal the order counts, and little. */
export function scaled(found: readonly Hit[]): number[] {
  const scores = found.map(({ score }) => score);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  return scores.map((score, index) => (most === least ? 1 - index / 100 : (score - least) / (most - least)));
}

export interface Chosen {
  readonly place: Place<Candidate>;
  readonly quotes: readonly Quoted[];
  readonly copies: readonly Passage[];
}

/** The first places, without passages that say what another has said: those are copies of it. */
export function choose(ranked: readonly Candidate[], count: number, quote: (member: Candidate) => Quoted): Chosen[] {
  const said = new Map<string, { readonly member: Candidate; readonly quote: Quoted; readonly copies: Passage[] }>();
  for (const member of ranked) {
    const own = quote(member);
    const same = said.get(own.said);
    if (same) same.copies.push(member.passage);
    else said.set(own.said, { member, quote: own, copies: [] });
  }
  const originals = new Map([...said.values()].map((one) => [one.member, one]));
  return placesOf([...originals.keys()], count, ({ code }) => code !== undefined).map((place) => {
    const members = place.members.map((member) => originals.get(member)!);
    return { place, quotes: members.map((one) => one.quote), copies: members.flatMap(({ copies }) => copies) };
  });
}

/** The citation of a place: of its best passage, with the lines of all of them. */
export function citationOf(marker: number, { members, lines }: Place<Candidate>, copies: readonly Passage[]) {
  const citation = cite(marker, members[0]!.passage, copies);
  return lines && members.length > 1 ? { ...citation, lines: [...lines] as [number, number] } : citation;
}
