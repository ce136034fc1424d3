// internal: StopStrings

/**
 * Cuts a text that comes in parts before the string that ends first among some, and holds back what may be the beginning
 * of one. The result does not depend on where the parts begin.
 */
export class StopStrings {
  private readonly stops: readonly string[];
  private pending = "";
  private found = false;

  /** @param stops Empty strings among them are left out. */
  constructor(stops: readonly string[] = []) {
    this.stops = stops.filter((stop) => stop !== "");
  }

  /** Whether a stop string was found; what follows it is dropped. */
  get stopped(): boolean {
    return this.found;
  }

  /** Takes the next part, and gives the text that may go out. */
  take(part: string): string {
    if (this.found) return "";
    this.pending += part;
    const found = this.stops
      .map((stop) => ({ at: this.pending.indexOf(stop), length: stop.length }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at + a.length - b.at - b.length || a.at - b.at);
    this.found = found.length > 0;
    if (!this.found) return this.give(this.pending.length - this.heldBack());
    const text = this.give(found[0]!.at);
    this.pending = "";
    return text;
  }

  /** The text that was held back, once no more comes. */
  rest(): string {
    return this.give(this.pending.length);
  }

  private give(length: number): string {
    const text = this.pending.slice(0, length);
    this.pending = this.pending.slice(length);
    return text;
  }

  /** The length of the longest end of the text with which a stop string begins. */
  private heldBack(): number {
    const most = Math.min(this.pending.length, Math.max(0, ...this.stops.map(({ length }) => length - 1)));
    for (let length = most; length > 0; length--)
      if (this.stops.some((stop) => stop.startsWith(this.pending.slice(-length)))) return length;
    return 0;
  }
}
