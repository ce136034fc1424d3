import { type Json, TesseraError } from "@tessera/core";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { Automaton, type State } from "./automaton.js";
import { readSchema } from "./schema.js";
import { TokenMasks, type TokenTable, tokenTable } from "./token-mask.js";

type Schema = { readonly [key: string]: Json };

interface Prepared {
  readonly automaton: Automaton;
  readonly masks: TokenMasks;
}

/** Schemas that are kept prepared. */
const mostSchemas = 32;
/** States after which a schema is prepared anew: what is remembered of it has a bound. */
const mostStates = 20_000;

/** Holds answers to JSON Schemas, for one tokenizer. */
export class SchemaDecoding {
  private table: Promise<TokenTable> | undefined;
  private readonly prepared = new Map<string, Prepared>();

  /** @param size Ids of the model; @param end The mark that ends an answer. */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly size: number,
    private readonly end: number,
  ) {}

  /**
   * An answer that will meet the schema and has at most `tokens` tokens; `prefix` is its beginning.
   * @throws TesseraError BAD_ARGUMENT where the schema asks for what is not supported or cannot be met, where the shortest
   * answer is too long, or where the prefix is no beginning of one; MISSING_CAPABILITY where the tokenizer lacks a byte.
   */
  async begin(schema: Schema, prefix: string, tokens: number): Promise<SchemaAnswer> {
    const { automaton, masks } = await this.prepare(schema);
    const state = automaton.read(automaton.start, Buffer.from(prefix));
    if (!state)
      throw new TesseraError("BAD_ARGUMENT", "no JSON that meets the schema begins with the prefix", {
        hint: "leave out one of the two",
      });
    if (state.least > tokens)
      throw new TesseraError(
        "BAD_ARGUMENT",
        `the shortest JSON that meets the schema has ${state.least} bytes, and the answer may have ${tokens} tokens`,
        { hint: "allow more tokens" },
      );
    return new SchemaAnswer(automaton, masks, this.tokenizer, state, tokens);
  }

  private async prepare(schema: Schema): Promise<Prepared> {
    const key = JSON.stringify(schema);
    const known = this.prepared.get(key);
    if (known && known.automaton.size < mostStates) return known;
    const automaton = new Automaton(readSchema(schema));
    this.table ??= tokenTable(this.tokenizer, this.size, this.end);
    const table = await this.table;
    if (!table.complete)
      throw new TesseraError(
        "MISSING_CAPABILITY",
        "the tokenizer has no token for some bytes, so JSON cannot be promised",
      );
    const fresh = { automaton, masks: new TokenMasks(automaton, table, this.end) };
    if (this.prepared.size >= mostSchemas) this.prepared.delete(this.prepared.keys().next().value!);
    this.prepared.set(key, fresh);
    return fresh;
  }
}

/** One answer in the making. */
export class SchemaAnswer {
  constructor(
    private readonly automaton: Automaton,
    private readonly masks: TokenMasks,
    private readonly tokenizer: Tokenizer,
    private state: State,
    private tokens: number,
  ) {}

  /** The tokens that may come next: after each of them the answer can still be completed with those that are left. */
  allowed(): Uint32Array {
    return this.masks.allowed(this.state, this.tokens - 1);
  }

  /** Adds a token. @returns whether the answer is whole */
  take(id: number): boolean {
    const next = this.automaton.read(this.state, this.tokenizer.bytes(id));
    if (!next) throw new TesseraError("MODEL_FAILED", `the token ${id} was drawn, which the schema does not allow`);
    this.state = next;
    this.tokens -= 1;
    return next.complete && (next.frames.length === 0 || this.tokens === 0);
  }
}
