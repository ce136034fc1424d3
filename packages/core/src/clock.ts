// public: Clock
// internal: systemClock, dateOf, every, sleep, abortAfter, stampNow
/** The source of time for everything that waits or measures. Tests use a clock of their own. */
export interface Clock {
  /** Milliseconds since a fixed point. The value never decreases, even if the date of the machine is changed. */
  now(): number;
  /** The time of day, in milliseconds since 1970; by default that of the machine. Waits that outlive a process use it. */
  date?(): number;
  /**
   * Calls `run` once after `milliseconds`, which may be any length; with `Infinity` never. The returned function
   * cancels the call. A background timer does not keep the process alive.
   */
  after(milliseconds: number, run: () => void, options?: TimerOptions): () => void;
}

interface TimerOptions {
  readonly background?: boolean;
}

/** The longest delay of Node's own timers: one that is longer fires at once. */
const longestTimer = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, run, { background = false } = {}) {
    if (milliseconds === Number.POSITIVE_INFINITY) return () => {};
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      const part = Math.min(left, longestTimer);
      timer = setTimeout(part < left ? () => wait(left - part) : run, part);
      if (background) timer.unref();
    };
    wait(milliseconds);
    return () => clearTimeout(timer);
  },
};

/** The time of day by a clock, in milliseconds since 1970. */
export const dateOf = (clock: Clock): number => clock.date?.() ?? Date.now();

/** Calls something repeatedly, `milliseconds` after each call began. The returned function ends this. */
export function every(
  milliseconds: number,
  run: () => void,
  { clock = systemClock, ...options }: TimerOptions & { readonly clock?: Clock } = {},
): () => void {
  let forget = clock.after(milliseconds, again, options);
  function again(): void {
    forget = clock.after(milliseconds, again, options);
    run();
  }
  return () => forget();
}

/** Waits, and rejects with the reason of the signal if it aborts before. */
export function sleep(
  milliseconds: number,
  {
    signal,
    clock = systemClock,
    ...options
  }: TimerOptions & { readonly signal?: AbortSignal | undefined; readonly clock?: Clock } = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const end = () => {
      forget();
      reject(signal!.reason);
    };
    const forget = clock.after(
      milliseconds,
      () => {
        signal?.removeEventListener("abort", end);
        resolve();
      },
      options,
    );
    signal?.addEventListener("abort", end, { once: true });
  });
}

/** As `AbortSignal.timeout`, for a time of any length. It does not keep the process alive. */
export function abortAfter(milliseconds: number): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(new DOMException("the time is up", "TimeoutError"));
  systemClock.after(milliseconds, abort, { background: true });
  return controller.signal;
}

let stamped = 0;
let stamp = "";

/** The wall clock's time as text (ISO 8601), made once a millisecond. */
export function stampNow(): string {
  const now = Date.now();
  if (now !== stamped) {
    stamped = now;
    stamp = new Date(now).toISOString();
  }
  return stamp;
}
