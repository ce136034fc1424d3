import { type Question, type Weights, weigh } from "./coverage.js";
import { clipped } from "./sentences.js";
import type { Statement } from "./statements.js";

const longestSentence = 400; // characters
const longestBlock = 1200;
const mostItems = 12;
const mostLines = 20; // of code
const followed = /[:：]\s*(?:\*\*|__)?$/; // a sentence that leads in to what follows it

// a question for a value, and a statement that may hold one
const asksValue =
  /\b(?:default|how (?:many|much|long|big|large|often|far|old|high)|when|maximum|minimum|limit|size|version|port|price|cost|wann|wie (?:viele?|lange|oft|groß|hoch|teuer)|combien|quand|cu[aá]nt[oa]s?|cu[aá]ndo|quanto|quando|hoeveel|wanneer)\b|多少|几|いくら|いつ|何|얼마|언제|몇|กี่|เท่า/iu;
const holdsValue = /\d|`(?:true|false|null|"[^"`]*"|'[^'`]*')`/;

/**
 * The statements that answer a question best, as indices in order. Those that say what the headings above them leave open
 * come first; where the headings cover all of it, what they lead to is the answer.
 */
export function pickStatements(
  statements: readonly Statement[],
  {
    question,
    weights,
    context,
    count,
  }: { question: Question; weights: Weights; context: ReadonlySet<string>; count: number },
): number[] {
  const terms = statements.map(({ text }) => question.in(text));
  const value = asksValue.test(question.text);
  const covered = new Set(context);
  const picked: number[] = [];
  const open = (index: number) =>
    weigh(
      [...terms[index]!].filter((term) => !covered.has(term)),
      weights,
    );
  while (picked.length < count) {
    let next = -1;
    let most = 0;
    for (const [index, { text, kind }] of statements.entries()) {
      if (picked.includes(index)) continue;
      const gain = open(index);
      if (gain < 1e-9 && (picked.length > 0 || weigh(terms[index]!, weights) < 1e-9)) continue;
      const says = value && kind !== "code" && holdsValue.test(text) ? 0.15 : 0;
      const score = gain + 0.2 * weigh(terms[index]!, weights) + says;
      if (score > most + 1e-9) [next, most] = [index, score];
    }
    if (next < 0) break;
    picked.push(next);
    for (const term of terms[next]!) covered.add(term);
  }
  if (picked.length === 0)
    for (const [index, { block }] of statements.entries())
      if (block === statements[0]!.block && index < Math.min(2, count)) picked.push(index);
  return picked.sort((a, b) => a - b);
}

/** The statements with what belongs to them: the sentence that leads in to a list, and the list that a sentence leads in to. */
function withBlocks(statements: readonly Statement[], picked: readonly number[]): number[] {
  const all = new Set(picked);
  for (const index of picked) {
    const { kind, lead, text } = statements[index]!;
    if (kind !== "sentence") {
      if (lead !== undefined) all.add(lead);
      continue;
    }
    const led = [...statements.keys()].filter((other) => statements[other]!.lead === index);
    const code =
      led.length === 1 && statements[led[0]!]!.kind === "code" && statements[led[0]!]!.text.split("\n").length <= 8;
    if (!followed.test(text) && !code) continue;
    let room = longestBlock;
    for (const other of led.slice(0, mostItems)) {
      room -= statements[other]!.text.length;
      if (room < 0) break;
      all.add(other);
    }
  }
  return [...all].sort((a, b) => a - b);
}

function shortened(code: string): string {
  const lines = code.split("\n");
  if (lines.length <= mostLines) return code;
  const closing = /^\s*(?:`{3,}|~{3,})\s*$/.test(lines.at(-1)!) ? [lines.at(-1)!] : [];
  return [...lines.slice(0, mostLines - 1 - closing.length), "…", ...closing].join("\n");
}

/**
 * A passage of prose as a quote: sentences in their paragraphs, a list's items with the sentence that leads in, code with
 * its lines, a table's rows with its head. The marker and the place stand behind the first paragraph.
 *
 * @param title what is said before a quote that has no sentence, or that names none of what the title does
 */
export function quoteOf(
  statements: readonly Statement[],
  picked: readonly number[],
  { title, behind, named }: { title: string | undefined; behind: string; named: boolean },
): string {
  const shown = withBlocks(statements, picked);
  const paragraphs: { text: string; block: boolean }[] = [];
  let last = -1;
  for (const index of shown) {
    const { text, kind, block, head, lead } = statements[index]!;
    const before = paragraphs.at(-1);
    if (kind === "sentence" || (kind === "item" && lead === undefined && shown.length === 1 && !text.includes("\n"))) {
      const said = clipped(kind === "item" ? text.replace(/^\s*(?:[-*+•]|\d{1,3}[.)])\s+/, "") : text, longestSentence);
      if (before && !before.block) before.text += ` ${said}`;
      else paragraphs.push({ text: said, block: false });
    } else {
      const lines = kind === "code" ? shortened(text) : text;
      if (before?.block && last === block) before.text += `\n${lines}`;
      else paragraphs.push({ text: kind === "row" && head !== undefined ? `${head}\n${lines}` : lines, block: true });
    }
    last = block;
  }
  const [first] = paragraphs;
  if (first === undefined || first.block)
    paragraphs.unshift({ text: title === undefined ? "" : `${title}:`, block: false });
  else if (title !== undefined && !named) first.text = `${title}: ${first.text}`;
  paragraphs[0]!.text = `${paragraphs[0]!.text}${behind}`.trimStart();
  return paragraphs.map(({ text }) => text).join("\n\n");
}
