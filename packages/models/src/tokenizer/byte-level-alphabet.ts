/** The printable character that stands for each byte in a byte-level vocabulary, as in GPT-2. */
export function byteLevelAlphabet(): Map<string, number> {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const alphabet = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCodePoint(isPrintable(byte) ? byte : next++), byte);
  return alphabet;
}
