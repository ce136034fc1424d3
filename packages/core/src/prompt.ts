// public: declarePrompt, openPrompt, prompt, Prompt
// internal: assertStandsFor, PromptText
import { sha256 } from "./canonical.js";
import { TesseraError } from "./errors.js";
import type { Host, Resource } from "./resources.js";

/** Instructions for a language model, with places in braces that the operator fills. */
interface PromptSettings {
  /** The name of the operator that sends it, and a further name if it sends several: "coder.sample.direct". */
  readonly name: string;
  /** Changed whenever the text changes. */
  readonly version: string;
  /** `{name}` is a place; `{{` and `}}` around a name are braces. */
  readonly text: string;
}

/** A prompt of the catalogue. */
export interface PromptText extends PromptSettings {
  /** The places that its operator fills. */
  readonly places: readonly string[];
  /** Those that another text in its stead must have too. */
  readonly needed: readonly string[];
  /** The most characters of another text: the bounds of flows count on it. */
  readonly longest: number;
}

/** A prompt as a resource of the kind "prompt". Its `revision` has name, version and the hash of the text. */
export interface Prompt extends Resource, PromptSettings {}

const token = /\{\{(\w+)\}\}|\{([A-Za-z]\w*)\}/g;

const placesOf = (text: string): string[] => [
  ...new Set([...text.matchAll(token)].flatMap(([, , place]) => (place === undefined ? [] : [place]))),
];

/** Declares a prompt of the catalogue. */
export function declarePrompt(
  settings: PromptSettings & { readonly needed?: readonly string[]; readonly longest?: number },
): PromptText {
  return { needed: [], longest: 2000, ...settings, places: placesOf(settings.text) };
}

/**
 * A prompt of one's own, to be given as a resource: `{ prompt: { "generator.answer": prompt({ … }) } }`. Line ends at its end
 * are left out.
 */
export function prompt({ name, version, text: given }: PromptSettings): Prompt {
  const text = given.replaceAll("\r\n", "\n").trimEnd();
  return { name, version, text, revision: `${name} ${version} ${sha256(text).slice(0, 16)}` };
}

/** The text with its places filled, each value once: what it holds is never read as a place. */
const fillPrompt = (text: string, values: Readonly<Record<string, string | number>>): string =>
  text.replace(token, (all, braced: string | undefined, place: string) =>
    braced !== undefined ? `{${braced}}` : Object.hasOwn(values, place) ? String(values[place]) : all,
  );

/** @throws TesseraError BAD_CONFIG where a text cannot stand in for a prompt of the catalogue */
export function assertStandsFor({ text, revision }: Prompt, { name, places, needed, longest }: PromptText): void {
  const wrong = (message: string, hint?: string) =>
    new TesseraError("BAD_CONFIG", `the prompt "${name}" ${message}`, {
      path: `prompt/${name}`,
      hint: hint ?? revision,
    });
  if (text.trim() === "") throw wrong("is empty");
  const known = places.length === 0 ? "it has none" : `it has ${places.map((place) => `{${place}}`).join(", ")}`;
  const found = placesOf(text);
  const unknown = found.filter((place) => !places.includes(place));
  if (unknown.length > 0)
    throw wrong(
      `has no place {${unknown[0]}}`,
      `${known}; braces that are meant as such are doubled: {{${unknown[0]}}}`,
    );
  const missing = needed.filter((place) => !found.includes(place));
  if (missing.length > 0)
    throw wrong(`must have the place {${missing[0]}}`, "its operator looks for what stands there in the answer");
  if (text.length > longest)
    throw wrong(`has ${text.length} characters`, `it may have ${longest}, on which the bounds of flows count`);
}

const isMissing = (error: unknown, path: string): boolean =>
  TesseraError.is(error) && error.code === "UNKNOWN_RESOURCE" && error.path === path;

/**
 * The prompt that an operator sends: another text where the host has one by that name, else its own. Returns the function
 * that fills its places.
 * @throws TesseraError BAD_CONFIG
 */
export async function openPrompt(
  host: Host,
  own: PromptText,
): Promise<(values?: Readonly<Record<string, string | number>>) => string> {
  const ours = prompt(own);
  let used: Prompt;
  try {
    used = await host.resource<Prompt>("prompt", own.name, ours);
  } catch (error) {
    if (!isMissing(error, `prompt/${own.name}`)) throw error;
    used = ours;
  }
  assertStandsFor(used, own);
  return (values = {}) => fillPrompt(used.text, values);
}
