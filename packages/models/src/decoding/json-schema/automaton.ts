import { type Property, propertyLeast, type Shape } from "./schema.js";

/** What is to be written next, a byte at a time, or what stands for it. Of each there is one: terms are compared by identity. */
interface Term {
  readonly id: number;
  /** The fewest bytes until it is over. */
  readonly least: number;
  /** Of a term that stands for others: the sequences that it may be. */
  readonly choices?: () => readonly (readonly Term[])[];
  /** Of a term that takes bytes: what is left of it after one, nothing if it is over, undefined if it does not take it. */
  readonly step?: (byte: number) => Term | "over" | undefined;
  /** Whether it may be over without another byte. */
  readonly mayEnd?: boolean;
  /** Of the inside of a string between two characters: how many may follow, and whether the string may end here. */
  readonly room?: number;
  readonly enough?: boolean;
}

/** A term and what comes after it. Of each there is one. */
export interface Frame {
  readonly id: number;
  readonly term: Term;
  readonly rest: Frame | undefined;
  /** The fewest bytes until all is over. */
  readonly least: number;
}

/** Every way in which the text so far can be read. Of each there is one: states are compared by identity. */
export interface State {
  readonly frames: readonly Frame[];
  /** Whether the text may end here. */
  readonly complete: boolean;
  /** The fewest bytes until it may. */
  readonly least: number;
  readonly next: Map<number, State | undefined>;
}

/** Where bytes 0x80 … 0xbf continue a character: how many follow, and the bounds of the first (Unicode 15, table 3-7). */
const characterStarts: readonly (readonly [from: number, to: number, more: number, low: number, high: number])[] = [
  [0xc2, 0xdf, 1, 0x80, 0xbf],
  [0xe0, 0xe0, 2, 0xa0, 0xbf],
  [0xe1, 0xec, 2, 0x80, 0xbf],
  [0xed, 0xed, 2, 0x80, 0x9f],
  [0xee, 0xef, 2, 0x80, 0xbf],
  [0xf0, 0xf0, 3, 0x90, 0xbf],
  [0xf1, 0xf3, 3, 0x80, 0xbf],
  [0xf4, 0xf4, 3, 0x80, 0x8f],
];

const [quote, backslash, space] = [0x22, 0x5c, 0x20];
const isHex = (byte: number): boolean => /[0-9a-fA-F]/.test(String.fromCharCode(byte));

/** Where in a character of a string the text is. */
type Inside =
  | { readonly kind: "between" }
  | { readonly kind: "continued"; readonly more: number; readonly low: number; readonly high: number }
  | { readonly kind: "escape" }
  /** Digits of \u00XX that are still to come; no others are written, so that one escape is one character. */
  | { readonly kind: "unicode"; readonly more: number };
const between: Inside = { kind: "between" };

/**
 * Reads JSON that meets a shape, byte by byte, and knows of each beginning the fewest bytes that complete it. Between
 * values there is at most one space, after a colon or a comma.
 */
export class Automaton {
  private readonly terms = new Map<string, Term>();
  private readonly frames = new Map<string, Frame>();
  private readonly states = new Map<string, State>();
  private readonly numbers = new Map<Shape, number>();
  readonly start: State;

  constructor(shape: Shape) {
    this.start = this.state([[this.value(shape)]], undefined);
  }

  /** States that were met so far. */
  get size(): number {
    return this.states.size;
  }

  step(state: State, byte: number): State | undefined {
    const known = state.next.get(byte);
    if (known !== undefined || state.next.has(byte)) return known;
    const sequences: [readonly Term[], Frame | undefined][] = [];
    for (const { term, rest } of state.frames) {
      const left = term.step!(byte);
      if (left !== undefined) sequences.push([left === "over" ? [] : [left], rest]);
    }
    const next = sequences.length === 0 ? undefined : this.gather(sequences);
    state.next.set(byte, next);
    return next;
  }

  /** The state after some bytes, if there is one. */
  read(state: State, bytes: Iterable<number>): State | undefined {
    let at: State | undefined = state;
    for (const byte of bytes) {
      at = this.step(at, byte);
      if (at === undefined) return undefined;
    }
    return at;
  }

  private state(choices: readonly (readonly Term[])[], rest: Frame | undefined): State {
    return this.gather(choices.map((terms) => [terms, rest]));
  }

  /** The frames whose terms take bytes, over all sequences, each before its rest. */
  private gather(sequences: readonly (readonly [readonly Term[], Frame | undefined])[]): State {
    const found = new Map<number, Frame>();
    const seen = new Set<Frame>();
    let complete = false;
    const open = (frame: Frame | undefined): void => {
      if (frame === undefined) complete = true;
      else if (!seen.has(frame) && frame.least < Number.POSITIVE_INFINITY) {
        seen.add(frame);
        const { term, rest } = frame;
        if (term.choices) for (const terms of term.choices()) open(this.push(terms, rest));
        else found.set(frame.id, frame);
        if (term.mayEnd) open(rest);
      }
    };
    for (const [terms, rest] of sequences) open(this.push(terms, rest));
    const frames = [...found.values()].sort((a, b) => a.id - b.id);
    const key = `${complete} ${frames.map(({ id }) => id)}`;
    const known = this.states.get(key);
    if (known) return known;
    const least = complete ? 0 : Math.min(...frames.map((frame) => frame.least));
    const state = { frames, complete, least, next: new Map<number, State | undefined>() };
    this.states.set(key, state);
    return state;
  }

  private push(terms: readonly Term[], rest: Frame | undefined): Frame | undefined {
    return terms.reduceRight<Frame | undefined>((below, term) => {
      const key = `${term.id} ${below?.id ?? ""}`;
      const known = this.frames.get(key);
      if (known) return known;
      const frame = { id: this.frames.size, term, rest: below, least: term.least + (below?.least ?? 0) };
      this.frames.set(key, frame);
      return frame;
    }, rest);
  }

  private term(key: string, make: () => Omit<Term, "id">): Term {
    const known = this.terms.get(key);
    if (known) return known;
    const term = { ...make(), id: this.terms.size };
    this.terms.set(key, term);
    return term;
  }

  private number(shape: Shape): number {
    const known = this.numbers.get(shape) ?? this.numbers.size;
    this.numbers.set(shape, known);
    return known;
  }

  private value(shape: Shape): Term {
    return this.term(`value ${this.number(shape)}`, () => ({
      least: shape.least,
      choices: () => this.choicesOf(shape),
    }));
  }

  private choicesOf(shape: Shape): readonly (readonly Term[])[] {
    switch (shape.kind) {
      case "literals":
        return shape.texts.map((text) => [this.literal(text)]);
      case "string":
        return [[this.literal('"'), this.inside(shape, 0, between)]];
      case "number":
        return [[this.digits(shape, "")]];
      case "array":
        return [[this.literal("["), this.members(shape, 0)]];
      case "object":
        return [[this.literal("{"), this.properties(shape, 0, false)]];
      case "record":
        return [[this.literal("{"), this.entries(shape, false)]];
      case "any-of":
        return shape.shapes.map((one) => [this.value(one)]);
    }
  }

  private literal(text: string, from = 0): Term {
    const bytes = Buffer.from(text);
    return this.term(`literal ${from} ${text}`, () => ({
      least: bytes.length - from,
      step: (byte) => {
        if (bytes[from] !== byte) return undefined;
        return from + 1 === bytes.length ? "over" : this.literal(text, from + 1);
      },
    }));
  }

  private gap(): Term {
    return this.term("gap", () => ({ least: 0, choices: () => [[], [this.literal(" ")]] }));
  }

  /** What follows `count` characters of a string, with its closing quote; beyond the least, no count is kept without a most. */
  private inside(shape: Shape & { kind: "string" }, count: number, at: Inside): Term {
    const counted = shape.max === Number.POSITIVE_INFINITY ? Math.min(count, shape.min) : count;
    const key = `inside ${this.number(shape)} ${counted} ${Object.values(at)}`;
    return this.term(key, () => {
      const unfinished = { between: 0, continued: 1, escape: 1, unicode: 1 }[at.kind];
      const bytes = at.kind === "continued" || at.kind === "unicode" ? at.more : unfinished;
      return {
        least: bytes + Math.max(0, shape.min - counted - unfinished) + 1,
        step: (byte) => this.insideStep(shape, counted, at, byte),
        ...(at.kind === "between" && { room: shape.max - counted, enough: counted >= shape.min }),
      };
    });
  }

  private insideStep(
    shape: Shape & { kind: "string" },
    count: number,
    at: Inside,
    byte: number,
  ): Term | "over" | undefined {
    const go = (inside: Inside): Term => this.inside(shape, count, inside);
    const whole = (): Term => this.inside(shape, count + 1, between);
    if (at.kind === "escape") {
      if (byte === 0x75) return go({ kind: "unicode", more: 4 });
      return '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? whole() : undefined;
    }
    if (at.kind === "unicode") {
      if (at.more > 2 ? byte !== 0x30 : !isHex(byte)) return undefined;
      return at.more === 1 ? whole() : go({ kind: "unicode", more: at.more - 1 });
    }
    if (at.kind === "continued") {
      if (byte < at.low || byte > at.high) return undefined;
      return at.more === 1 ? whole() : go({ kind: "continued", more: at.more - 1, low: 0x80, high: 0xbf });
    }
    if (byte === quote) return count >= shape.min ? "over" : undefined;
    if (count >= shape.max || byte < space) return undefined;
    if (byte === backslash) return go({ kind: "escape" });
    if (byte < 0x80) return whole();
    const start = characterStarts.find(([from, to]) => byte >= from && byte <= to);
    return start && go({ kind: "continued", more: start[2], low: start[3], high: start[4] });
  }

  private digits(shape: Shape & { kind: "number" }, beginning: string): Term {
    return this.term(`digits ${this.number(shape)} ${beginning}`, () => {
      const least = shape.range.least(beginning);
      return {
        least,
        mayEnd: least === 0,
        step: (byte) => {
          const longer = beginning + String.fromCharCode(byte);
          return shape.range.least(longer) < Number.POSITIVE_INFINITY ? this.digits(shape, longer) : undefined;
        },
      };
    });
  }

  /** What follows `count` members of an array. */
  private members(shape: Shape & { kind: "array" }, count: number): Term {
    const { items, min, max } = shape;
    const counted = max === Number.POSITIVE_INFINITY ? Math.min(count, Math.max(min, 1)) : count;
    const missing = Math.max(0, min - counted);
    return this.term(`members ${this.number(shape)} ${counted}`, () => ({
      least: 1 + (missing === 0 ? 0 : missing * (items.least + 1) - (counted === 0 ? 1 : 0)),
      choices: () => [
        ...(counted >= min ? [[this.literal("]")]] : []),
        ...(counted < max ? [[...this.comma(counted > 0), this.value(items), this.members(shape, counted + 1)]] : []),
      ],
    }));
  }

  /** What follows where the next property is number `from` or, where those may be left out, one behind it. */
  private properties(shape: Shape & { kind: "object" }, from: number, written: boolean): Term {
    const { properties } = shape;
    return this.term(`properties ${this.number(shape)} ${from} ${written}`, () => {
      const required = properties.slice(from).filter((property) => property.required);
      const commas = Math.max(0, required.length - (written ? 0 : 1));
      return {
        least: required.reduce((sum, property) => sum + propertyLeast(property), 1 + commas),
        choices: () => {
          const last = properties.findIndex((property, i) => i >= from && property.required);
          const next = properties.slice(from, last < 0 ? properties.length : last + 1);
          const choices = next.map((property, i) => [
            ...this.comma(written),
            ...this.property(property),
            this.properties(shape, from + i + 1, true),
          ]);
          return last < 0 ? [...choices, [this.literal("}")]] : choices;
        },
      };
    });
  }

  private property({ key, shape }: Property): Term[] {
    return [this.literal(`${key}:`), this.gap(), this.value(shape)];
  }

  private entries(shape: Shape & { kind: "record" }, written: boolean): Term {
    return this.term(`entries ${this.number(shape)} ${written}`, () => ({
      least: 1,
      choices: () => [
        [this.literal("}")],
        [
          ...this.comma(written),
          this.literal('"'),
          this.inside(anyText, 0, between),
          this.literal(":"),
          this.gap(),
          this.value(shape.values),
          this.entries(shape, true),
        ],
      ],
    }));
  }

  private comma(written: boolean): Term[] {
    return written ? [this.literal(","), this.gap()] : [];
  }
}

const anyText = { kind: "string", min: 0, max: Number.POSITIVE_INFINITY, least: 2 } as const;
