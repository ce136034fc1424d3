/** What a service said to a request that it refused for its fields, with status 400 or 422. */
export interface Refusal {
  readonly message: string;
  /** The field that the service names, where it names one in a field of its own. */
  readonly field?: string | undefined;
}

/** How the body of a chat request is changed for one service; learnt from its refusals, and kept while the model is open. */
export interface Adaptation {
  /** A field that is left out. */
  readonly leftOut: string;
  /** The field that takes its value. */
  readonly renamed?: string;
}

/** Fields without which an answer is still an answer to the same question. */
const optional = ["temperature", "top_p", "stop", "seed", "stream_options"];
const lengths = ["max_tokens", "max_completion_tokens"] as const;

/** What services say of a field that they do not take, in contrast to a value out of its range. */
const unsupported =
  /unsupported|not\s+(?:yet\s+)?support|does\s*n[o']t\s+support|only\s+the\s+default|unrecogni[sz]ed|unknown|unexpected|extra\s+(?:inputs|fields)|not\s+(?:permitted|allowed|compatible|available)|deprecated|cannot\s+be\s+(?:used|set)|no\s+longer/i;

const names = (text: string, field: string): boolean =>
  new RegExp(`(?<![\\w-])${field}(?![\\w-])`).test(text.replace(/\b(?:body|request)\./g, ""));

/**
 * What to change in a body after a refusal, or `undefined` where the refusal is about something else: a value out of
 * range, or a field that the answer depends on.
 */
export function adaptationFor(body: Readonly<Record<string, unknown>>, refusal: Refusal): Adaptation | undefined {
  const { message, field } = refusal;
  for (const [index, length] of lengths.entries()) {
    const other = lengths[1 - index]!;
    if (!(length in body)) continue;
    const named = names(field ?? message, length);
    if (names(message, other) || (named && unsupported.test(message))) return { leftOut: length, renamed: other };
  }
  if (!unsupported.test(message)) return undefined;
  const found = optional.filter((name) => name in body && names(field ?? message, name));
  // a message may name other fields beside the refused one, which stands first
  const first = found.sort((a, b) => (field ?? message).indexOf(a) - (field ?? message).indexOf(b))[0];
  return first === undefined ? undefined : { leftOut: first };
}

/** A body with what was learnt. */
export function adapted(
  body: Readonly<Record<string, unknown>>,
  adaptations: readonly Adaptation[],
): Record<string, unknown> {
  const changed = { ...body };
  for (const { leftOut, renamed } of adaptations) {
    if (!(leftOut in changed)) continue;
    if (renamed !== undefined) changed[renamed] = changed[leftOut];
    delete changed[leftOut];
  }
  return changed;
}
