import { words } from "@tessera/text";

/** English words that say how a sentence hangs together, and little of what it is about. */
const functionWords = new Set(
  `a about after against all also although among an and another any are as at be because been before being between both
  but by can could did do does done during each either few for from had has have he her him his how however i if in into
  is it its just many may me might more most much must my neither no nor not of on one only or other our over own per
  same several shall she should so some such than that the their them then there these they this those though through to
  under until upon us very via was we were what when where which while who whom whose why will with within without would
  you your`.split(/\s+/),
);
/** Those that stand inside names, as in "Leonardo da Vinci" and "the House of Lords". */
const joining = new Set("a al an and at da de del den der di du el for in la le of on the to van von y &".split(" "));

/** How many words on a word's neighbours still count as near: the weight falls by e in so many. */
const reach = 8;
/** What a word tells by its kind, without a model: names and numbers carry most answers. */
const worth = { function: 0, content: 1, query: 1.5, name: 4, number: 4 } as const;

interface Word {
  readonly text: string;
  readonly bare: string;
  readonly kind: keyof typeof worth;
  /** Whether a part of a sentence begins with it, or ends. */
  readonly first: boolean;
  readonly last: boolean;
}

function wordsOf(text: string, wanted: ReadonlySet<string>): Word[] {
  const parts = text.match(/\s*\S+|\s+$/g) ?? [];
  return parts.map((part) => {
    const bare = part.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
    const first = /^\s*[([]/.test(part);
    const last = /[.!?;:,)]["”’)\]]*$/.test(part);
    const kindOf = (): Word["kind"] => {
      if (bare === "" || [functionWords, joining].some((small) => small.has(bare.toLowerCase()))) return "function";
      if (words(bare).some((word) => wanted.has(word))) return "query";
      if (/\p{N}/u.test(bare)) return "number";
      return /^\p{Lu}/u.test(bare) ? "name" : "content";
    };
    return { text: part, bare, kind: kindOf(), first, last };
  });
}

const isName = ({ bare, kind }: Word): boolean => kind !== "function" && /^\p{Lu}|\p{N}/u.test(bare);

const joins = ({ bare, first, last }: Word): boolean => !first && !last && joining.has(bare.toLowerCase());

/** Where the name or number that begins at a place ends: names beside each other, or joined by at most two small words, are one. */
function endOfName(list: readonly Word[], from: number): number {
  let end = from;
  while (!list[end]!.last) {
    let next = end + 1;
    while (next - end < 3 && list[next] && joins(list[next]!)) next++;
    if (!list[next] || list[next]!.first || !isName(list[next]!)) break;
    end = next;
  }
  return end;
}

/**
 * The names, numbers and single words of a text, in order; joined they are the text. The information of a phrase is what
 * its words are worth by their kind, and up to 1 more by how near they stand to words of the query, on average over
 * those that are no function words.
 */
export function phrasesOf(text: string, wanted: ReadonlySet<string>): { text: string; information: number }[] {
  const list = wordsOf(text, wanted);
  const asked = [...list.keys()].filter((place) => list[place]!.kind === "query");
  const nearness = list.map((_, place) =>
    asked.reduce((sum, other) => sum + Math.exp(-Math.abs(place - other) / reach), 0),
  );
  const nearest = Math.max(...nearness, Number.MIN_VALUE);
  const phrases: { text: string; information: number }[] = [];
  for (let from = 0; from < list.length; ) {
    const end = isName(list[from]!) ? endOfName(list, from) : from;
    const members = list.slice(from, end + 1);
    const telling = [...members.keys()].filter((at) => members[at]!.kind !== "function");
    const values = telling.map((at) => worth[members[at]!.kind] + nearness[from + at]! / nearest);
    phrases.push({
      text: members.map((member) => member.text).join(""),
      information: values.reduce((sum, value) => sum + value, 0) / (values.length || 1),
    });
    from = end + 1;
  }
  return phrases;
}
