/** What a model said, parted. */
export interface ModelAnswer {
  /** The text without its thoughts; the same text where there are none. */
  readonly answer: string;
  /** The thoughts in order, without their tags. */
  readonly thoughts: readonly string[];
  /** The stretches of the text that make up the answer, in UTF-16 code units, in order. */
  readonly kept: readonly { readonly start: number; readonly end: number }[];
}

interface Tag {
  readonly start: number;
  readonly end: number;
  readonly opens: boolean;
  /** Tags of one family open and close each other. */
  readonly family: string;
}

// what the tags of reasoning models are called, alone or in a longer name such as "seed:think" or "inner_thoughts"
const name =
  "(?:[a-z]{1,20}[:_-])?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad)(?:[_-][a-z]{1,20})?";
const shapes = [
  `<(?<close>/?)(?<tag>${name})(?:\\s[^<>\\n]{0,100})?>`,
  "\\[(?<close>/?)(?<tag>THINK(?:ING)?|THOUGHTS?|REASON(?:ING)?)\\]",
  `◁(?<close>/?)(?<tag>${name})▷`,
  `<[|｜](?<close>/|end_(?:of_)?)?(?:(?:begin|start)_(?:of_)?)?(?<tag>${name})[|｜]>`,
  // channels: what is said on another one than the last is a thought
  "<\\|channel\\|>\\s*(?<tag>analysis|commentary|thought)[^<\\n]{0,100}(?:<\\|message\\|>)?",
  "(?<close><\\|end\\|>)\\s*(?:<\\|start\\|>\\s*\\w{0,20}\\s*)?(?:<\\|channel\\|>\\s*final[^<\\n]{0,100}<\\|message\\|>)?",
  "<\\|channel>\\s*(?<tag>thought|analysis)",
  "(?<close><channel\\|>)",
].map((shape, index) => ({
  pattern: new RegExp(shape, index === 1 ? "g" : "gi"),
  channel: ["", "", "", "", "message", "message", "channel", "channel"][index]!,
}));

// what a hostile answer may cost: more tags than these are text, and a line is looked at this far around a tag
const mostTags = 1000;
const mostThoughts = 64;
const around = 2000;

/** The tags of a text, in order. */
function tagsOf(text: string): Tag[] {
  const tags: Tag[] = [];
  for (const { pattern, channel } of shapes)
    for (const { index, 0: all, groups } of text.matchAll(pattern))
      tags.push({
        start: index,
        end: index + all.length,
        opens: !groups!.close,
        family: channel || `${all[0]}${groups!.tag!.toLowerCase()}`,
      });
  return tags.sort((left, right) => left.start - right.start).slice(0, mostTags);
}

/** What stands before a place in its line. */
const lineBefore = (text: string, at: number): string => {
  const before = text.slice(Math.max(0, at - around), at);
  return before.slice(before.lastIndexOf("\n") + 1);
};

interface Fence {
  readonly start: number;
  readonly end: number;
}

/** The fences that open and close as they should; one that holds other backticks or is never closed makes them doubtful. */
function fencesOf(text: string): Fence[] {
  const fences: Fence[] = [];
  let open: { start: number; body: number; mark: string } | undefined;
  for (const { index, 0: line, 1: mark, 2: info } of text.matchAll(/^[ \t]*(`{3,}|~{3,})([^\n]*)\n?/gm)) {
    if (!open) open = { start: index, body: index + line.length, mark: mark! };
    else if (mark![0] === open.mark[0] && mark!.length >= open.mark.length && info!.trim() === "") {
      if (!text.slice(open.body, index).includes(open.mark))
        fences.push({ start: open.start, end: index + line.length });
      open = undefined;
    }
  }
  return open ? [] : fences;
}

/** Says of tags whether the text talks about them: in a code fence, in a code span of one line, or in quotes. */
function mentionsIn(text: string): (tag: Tag) => boolean {
  const fences = fencesOf(text);
  const quotes = ['""', "''", "“”", "‘’", "«»", "「」"];
  return ({ start, end }) => {
    if (fences.some((fence) => fence.start < start && end < fence.end)) return true;
    const before = lineBefore(text, start);
    const after = /^[^\n]*/.exec(text.slice(end, end + around))![0];
    const runs = (part: string): number => part.match(/`+/g)?.length ?? 0;
    if (runs(before) % 2 === 1 && runs(after) % 2 === 1) return true;
    const pair = `${text[start - 1] ?? ""}${text[end] ?? ""}`;
    if (!quotes.includes(pair)) return false;
    return pair[0] !== pair[1] || before.split(pair[0]!).length % 2 === 0;
  };
}

/** The tag that closes a thought which begins at the first of the tags, or `undefined` where it is never closed. */
function closingOf([first, ...rest]: readonly Tag[], mentioned: (tag: Tag) => boolean): Tag | undefined {
  const family = rest.filter((tag) => tag.family === first!.family);
  const meant = family.filter((tag) => !mentioned(tag));
  let depth = 1;
  for (const tag of meant) {
    depth += tag.opens ? 1 : -1;
    if (depth === 0) return tag;
  }
  // a thought that speaks of its own tag
  return meant.find((tag) => !tag.opens) ?? family.find((tag) => !tag.opens);
}

/** Whether a tag stands where a thought may begin: on a new line, after a sentence, or before a line's end. */
function mayOpen(text: string, { start, end }: Tag): boolean {
  const before = lineBefore(text, start);
  return before.trim() === "" || /[.!?。！？]\s*$/.test(before) || /^[ \t]*\n/.test(text.slice(end));
}

/** Whether a tag without an opening one stands where a thought may end, and not as a word in a sentence. */
function mayClose(text: string, { start, end }: Tag): boolean {
  const before = lineBefore(text, start);
  if (before.trim() === "" || /[.!?。！？]\s*$/.test(before) || !/\s$/.test(before)) return true;
  return /^(?:\S|[ \t]*(?:\r?\n|$))/.test(text.slice(end));
}

interface Cut {
  readonly start: number;
  readonly end: number;
  /** Where the thought itself begins and ends. */
  readonly inner: readonly [number, number];
}

/** The next thought at or after `from`; `first` where nothing of an answer stands before it. */
function nextCut(text: string, from: number, first: boolean): Cut | undefined {
  const rest = text.slice(from);
  const tags = tagsOf(rest);
  if (tags.length === 0) return undefined;
  const mentioned = mentionsIn(rest);
  const cut = (start: number, open: number, close?: Tag): Cut => ({
    start: from + start,
    end: close ? from + close.end : text.length,
    inner: [from + open, close ? from + close.start : text.length],
  });
  const spoken = new Set<string>();
  const lead = rest.search(/\S/);
  for (const [index, tag] of tags.entries()) {
    const begins = tag.start <= lead;
    if (!(begins && first && tag.opens) && mentioned(tag)) continue;
    if (tag.opens) {
      if ((begins && first) || mayOpen(rest, tag))
        return cut(tag.start, tag.end, closingOf(tags.slice(index), mentioned));
      spoken.add(tag.family);
    } else if (spoken.has(tag.family)) {
      spoken.delete(tag.family);
    } else if (mayClose(rest, tag) && tag.family !== "message") {
      // after a thought, a closing tag with nothing behind it closes nothing
      const stray = from > 0 && rest.slice(tag.end).trim() === "";
      return stray ? cut(tag.start, tag.start, tag) : cut(0, 0, tag);
    }
  }
  return undefined;
}

// what some models put around the answer that follows their thoughts
const wrapped =
  /^(?:<(answer|response|solution|output)>|<\|(?:begin_of_|start_)?(?:solution|response|answer)\|>)\s*([\s\S]*?)\s*(?:<\/\1>|<\|end_?(?:of_)?(?:solution|response|answer)?\|>|<\|return\|>)?\s*$/i;

/**
 * Parts what a model said into its thoughts and its answer. This is the one place that knows the tags of reasoning
 * models: `<think>`, `<thinking>`, `<thought>`, `<reasoning>` and their kin, `[THINK]`, `◁think▷`,
 * `<|begin_of_thought|>`, and channels. A thought is closed by its tag or goes on to the end; a closing tag alone ends a
 * thought that the prompt had opened. A tag in a code span, a code fence or quotes is part of the text.
 */
export function splitThoughts(text: string): ModelAnswer {
  const thoughts: string[] = [];
  let kept: { start: number; end: number }[] = [];
  let at = 0;
  while (kept.length < mostThoughts) {
    const first = kept.every(({ start, end }) => text.slice(start, end).trim() === "");
    const cut = nextCut(text, at, first);
    if (!cut) break;
    kept.push({ start: at, end: cut.start });
    const thought = text.slice(...cut.inner).trim();
    if (thought !== "") thoughts.push(thought);
    at = cut.end;
  }
  if (at === 0 && kept.length === 0) return { answer: text, thoughts, kept: [{ start: 0, end: text.length }] };
  kept.push({ start: at, end: text.length });
  while (kept.length > 0 && text.slice(kept[0]!.start, kept[0]!.end).trim() === "") kept.shift();
  if (kept.length === 0) return { answer: "", thoughts, kept };
  // blank lines between the thought and the answer belong to neither; the answer's own indentation stays
  const lead = /^(?:[ \t]*\r?\n)+|^[ \t]+/.exec(text.slice(kept[0]!.start, kept[0]!.end))?.[0].length ?? 0;
  kept = [{ start: kept[0]!.start + lead, end: kept[0]!.end }, ...kept.slice(1)];
  if (kept.length === 1) {
    const [{ start, end }] = kept as [{ start: number; end: number }];
    const inner = wrapped.exec(text.slice(start, end))?.[2];
    if (inner !== undefined) {
      const from = text.indexOf(inner, start);
      kept = [{ start: from, end: from + inner.length }];
    }
  }
  return { answer: kept.map(({ start, end }) => text.slice(start, end)).join(""), thoughts, kept };
}

// what may become a tag with the next part
const tagStart = /^\s*(?:<\|\w{1,20}\|?>\s*\w{0,20}\s*){0,4}(?:[<[◁][^>\]▷\n]{0,160})?$/;

/**
 * Reads an answer as it comes and passes on what is no thought. What it passes on is a beginning of the answer that
 * `splitThoughts` finds, except where a closing tag alone or a later thought shows that it was none; the whole text
 * decides.
 */
export class AnswerReader {
  private held = "";
  private answering = false;

  /** What of the answer is known with the next part of the text. */
  push(part: string): string {
    if (this.answering) return part;
    this.held += part;
    if (tagStart.test(this.held)) return "";
    const opening = nextCut(this.held, 0, true);
    if (!opening || this.held.slice(0, opening.start).trim() !== "") return this.pass(this.held);
    if (opening.end === this.held.length) return "";
    const { answer } = splitThoughts(this.held);
    return answer === "" || tagStart.test(answer) ? "" : this.pass(answer);
  }

  /** What remains when the text has ended. */
  end(): string {
    return this.answering ? "" : this.pass(splitThoughts(this.held).answer);
  }

  private pass(text: string): string {
    this.answering = true;
    this.held = "";
    return text;
  }
}
