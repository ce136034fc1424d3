/** What the tokens of a byte-level vocabulary stand for, by id. */
export class TokenBytes {
  constructor(private readonly tokens: readonly Uint8Array[]) {}

  /** One more than the largest id. */
  get vocabulary(): number {
    return this.tokens.length;
  }

  /** The bytes of one token: UTF-8, of which a token may hold a part of a character. Marks have none. */
  bytes(id: number): Uint8Array {
    return this.tokens[id] ?? new Uint8Array();
  }

  /** The text of a sequence of tokens; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>): string {
    return Buffer.concat(Array.from(ids, (id) => this.bytes(id))).toString("utf8");
  }
}
