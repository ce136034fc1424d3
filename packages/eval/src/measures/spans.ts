// public: Span, spanRecall, spanPrecision, spanIou
/** A stretch of a document: from `start` up to, not including, `end`, in any one unit. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The same stretches in order, without overlaps. */
export function merged(spans: readonly Span[]): Span[] {
  const result: { start: number; end: number }[] = [];
  for (const { start, end } of [...spans].filter((span) => span.end > span.start).sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else result.push({ start, end });
  }
  return result;
}

const length = (spans: readonly Span[]): number => spans.reduce((sum, { start, end }) => sum + end - start, 0);

function overlap(left: readonly Span[], right: readonly Span[]): number {
  const [a, b] = [merged(left), merged(right)];
  let sum = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    sum += Math.max(0, Math.min(a[i]!.end, b[j]!.end) - Math.max(a[i]!.start, b[j]!.start));
    if (a[i]!.end < b[j]!.end) i++;
    else j++;
  }
  return sum;
}

/** The share of the wanted text that was retrieved. */
export const spanRecall = (retrieved: readonly Span[], wanted: readonly Span[]): number =>
  overlap(retrieved, wanted) / length(merged(wanted));

/** The share of the retrieved text that was wanted; what is retrieved twice is paid for twice. */
export const spanPrecision = (retrieved: readonly Span[], wanted: readonly Span[]): number =>
  overlap(retrieved, wanted) / length(retrieved);

/** Common text over all text, where what is retrieved twice counts twice below the line (token IoU; Smith and Troynikov 2024 count characters). */
export function spanIou(retrieved: readonly Span[], wanted: readonly Span[]): number {
  const common = overlap(retrieved, wanted);
  return common / (length(retrieved) + length(merged(wanted)) - common);
}
