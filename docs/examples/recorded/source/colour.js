/** Mixes two colours. */
export function mix(a, b) {
  return (a + b) / 2;
}
