import type { Token } from "@tessera/core";
import type { Completion } from "@tessera/core/internal";

const plain = (text: string): string => text.toLowerCase().replace(/\s+/g, " ").trim();

/** The choice whose label an answer says: it begins with it, or no other label stands in it. */
function readChoice(answer: string, labels: ReadonlyMap<string, string>): string | undefined {
  let said = plain(answer).replace(/^[^\p{L}\p{N}[<]+/u, "");
  const longest = [...labels].sort(([, a], [, b]) => b.length - a.length);
  const stands = (label: string, at: number) =>
    !/[\p{L}\p{N}]/u.test(said[at - 1] ?? "") && !/[\p{L}\p{N}]/u.test(said[at + label.length] ?? "");
  const first = longest.find(([, label]) => said.startsWith(plain(label)) && stands(plain(label), 0));
  if (first) return first[0];
  const found = longest.filter(([, label]) => {
    const at = said.indexOf(plain(label));
    if (at < 0 || !stands(plain(label), at)) return false;
    said = said.replaceAll(plain(label), " ");
    return true;
  });
  return found.length === 1 ? found[0]![0] : undefined;
}

/** P(choice) from the likeliest first tokens: the share of those with which only its label begins. */
function readChances(token: Token | undefined, labels: ReadonlyMap<string, string>): Map<string, number> | undefined {
  const chances = new Map([...labels.keys()].map((choice) => [choice, 0]));
  for (const { text, logprob } of token?.alternatives ?? []) {
    const said = plain(text);
    const fitting = [...labels].filter(([, label]) => said !== "" && plain(label).startsWith(said));
    if (fitting.length === 1) chances.set(fitting[0]![0], chances.get(fitting[0]![0])! + Math.exp(logprob));
  }
  const total = [...chances.values()].reduce((sum, chance) => sum + chance, 0);
  return total === 0 ? undefined : new Map([...chances].map(([choice, chance]) => [choice, chance / total]));
}

/** A choice, and whether probabilities, the text or neither told it. */
export interface Verdict {
  readonly choice: string;
  readonly confidence: number;
  /** P(choice), or 1 for the one that was said; 0 for all where none could be read. */
  readonly chances: Record<string, number>;
  readonly by: "probability" | "text" | "default";
}

/** Reads a verdict by the labels of the choices; `favour` is taken where its probability exceeds `above`. */
export function readVerdict(
  { tokens, text }: Pick<Completion, "tokens" | "text">,
  labels: ReadonlyMap<string, string>,
  { favour, otherwise }: { favour?: { choice: string; above: number } | undefined; otherwise: string },
): Verdict {
  const chances = readChances(tokens[0], labels);
  if (chances) {
    const favoured = favour && chances.get(favour.choice)! > favour.above ? favour.choice : undefined;
    const rest = [...chances].filter(([choice]) => choice !== favour?.choice);
    const choice = favoured ?? rest.reduce((best, next) => (next[1] > best[1] ? next : best))[0];
    return { choice, confidence: chances.get(choice)!, chances: Object.fromEntries(chances), by: "probability" };
  }
  const choice = readChoice(text, labels);
  const said = Object.fromEntries([...labels.keys()].map((name) => [name, name === choice ? 1 : 0]));
  return choice === undefined
    ? { choice: otherwise, confidence: 0, chances: said, by: "default" }
    : { choice, confidence: 1, chances: said, by: "text" };
}
