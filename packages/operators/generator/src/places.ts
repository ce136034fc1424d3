import type { Passage } from "@tessera/core";

/** A place that an answer cites: a passage, and those beside it in the same file that were found with it. */
export interface Place<Member extends { readonly passage: Passage }> {
  /** The best of the place first. */
  readonly members: Member[];
  /** From the first to the last line of them; undefined where the passages have no lines. */
  lines: readonly [number, number] | undefined;
}

/** A person takes in a place of this many lines at one look. */
const mostLines = 60;
/** More places of one file than this wait until no other file has any. */
const mostOfFile = 2;

const keyOf = ({ id, source }: Passage): string =>
  source?.symbol === undefined ? id : `${source.path}#${source.symbol}`;

function joined(
  a: readonly [number, number] | undefined,
  b: readonly [number, number] | undefined,
): readonly [number, number] | undefined {
  if (!a || !b) return undefined;
  const [from, to] = [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
  return to - from < mostLines ? [from, to] : undefined;
}

/**
 * The first places of ranked passages. Passages of code that stand within 60 lines of one file are one place, so that a
 * function does not keep its neighbours' places from others; sections, rows and pages are places of their own. Of parts of
 * one definition that stand further apart the best stands for all. A third place of the same file is only taken where other
 * files have no more.
 */
export function placesOf<Member extends { readonly passage: Passage }>(
  ranked: readonly Member[],
  count: number,
  isCode: (member: Member) => boolean = () => true,
): Place<Member>[] {
  const places: Place<Member>[] = [];
  const waiting: Member[] = [];
  const taken = new Set<string>();
  const pathOf = ({ passage }: Member) => passage.source?.path;
  for (const member of ranked) {
    const { source } = member.passage;
    const near = places.find(({ members: [best], lines }) => {
      const isNear = source !== undefined && pathOf(best!) === source.path && joined(lines, source.lines);
      return isNear && isCode(member) && isCode(best!);
    });
    if (near) {
      near.lines = joined(near.lines, source!.lines);
      near.members.push(member);
      continue;
    }
    if (taken.has(keyOf(member.passage))) continue;
    if (places.length === count) break;
    const ofFile = places.filter(({ members }) => source !== undefined && pathOf(members[0]!) === source.path).length;
    if (ofFile >= mostOfFile) {
      waiting.push(member);
      continue;
    }
    taken.add(keyOf(member.passage));
    places.push({ members: [member], lines: source?.lines });
  }
  for (const member of waiting) {
    if (places.length === count) break;
    if (taken.has(keyOf(member.passage))) continue;
    taken.add(keyOf(member.passage));
    places.push({ members: [member], lines: member.passage.source?.lines });
  }
  return places;
}
