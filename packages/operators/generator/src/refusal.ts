/** What a model is told to reply where the passages hold no answer. */
export const refusal = "NO ANSWER";

const bare = (text: string): string => text.replace(/^[\s"'`*_([]+|[\s"'`*_)\].!]+$/g, "");

/** Holds the beginning of an answer back until it is known whether it is the refusal; a refusal lets nothing through. */
export class RefusalReader {
  refused = false;
  private held: string | undefined = "";

  /** What may be shown now. */
  push(text: string): string {
    if (this.held === undefined) return this.refused ? "" : text;
    this.held += text;
    const start = bare(this.held);
    if (refusal.startsWith(start.toUpperCase())) return "";
    const shown = this.held;
    this.held = undefined;
    this.refused = start.startsWith(refusal) && !/^\p{L}/u.test(start.slice(refusal.length));
    return this.refused ? "" : shown;
  }

  /** The rest, once the answer has ended. */
  end(): string {
    const shown = this.held;
    this.held = undefined;
    if (shown === undefined) return "";
    this.refused = bare(shown).toUpperCase() === refusal;
    return this.refused ? "" : shown;
  }
}
