// internal: limits
/** Limits that keep a hostile document from costing more than an error; no time in a document is longer than a year. */
export const limits = {
  depth: 32,
  nodes: 10_000,
  nesting: 256,
  values: 250_000,
  /** Of one list or object. */
  members: 20_000,
  /** All the values in one setting or constant. */
  part: 20_000,
  /** All the values in one port type, the texts of a choice aside. */
  type: 5_000,
  /** That an error tells of a document. */
  findings: 1_000,
  milliseconds: 365 * 86_400_000,
} as const;
