/** The thread that a run works on. */
export interface OnThread {
  /** Letters, digits, - and _, at most 128. Each principal has threads of its own. */
  readonly id: string;
  /** The most estimated tokens of the history that the run is given; 4,000 by default. */
  readonly tokens?: number | undefined;
}
