// public: Style, Output
/** Marks parts of a text for people; each function returns the text as it is where there is no colour. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
}

/** Where an evaluation prints; the command line's terminal is one. */
export interface Output {
  /** True where values are printed for machines: `line` prints then, and `say` and `table` print nothing. */
  readonly json: boolean;
  readonly style: Style;
  /** Prints a line for people. */
  say(text?: string): void;
  /** Prints a value for machines, as JSON on a line of its own. */
  line(value: object): void;
  /** Prints a table for people. Each row has as many cells as the head. */
  table(head: string[], rows: (string | number)[][]): void;
  /** Prints a line on standard error, for people and machines. */
  alert(text: string): void;
  /** Shows how far long work is: `done` of `total` in the stage of that name. */
  progress(stage: string, done: number, total: number | undefined): void;
  /** Takes the sign of progress away. */
  clear(): void;
}
