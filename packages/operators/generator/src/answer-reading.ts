import { CitationReader } from "./citations.js";
import { RefusalReader } from "./refusal.js";

/**
 * Reads what a model says, in parts, into the text that is shown: without citations of nothing, and without refusals.
 * `whole` is the whole answer, where it is known.
 */
export function reading(passages: number, whole?: string) {
  const markers = new CitationReader(passages, whole);
  const refusals = new RefusalReader();
  return {
    markers,
    refusals,
    push: (part: string): string => markers.push(refusals.push(part)),
    end: (): string => markers.push(refusals.end()) + markers.end(),
  };
}
