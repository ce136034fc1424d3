// public: Clock
// internal: systemClock, every, sleep, abortAfter
/** Time as what waits and measures sees it; tests put their own in its place. */
export interface Clock {
  /** Milliseconds from any fixed point. It never goes back, whatever is done to the date. */
  now(): number;
  /**
   * Runs something once, `milliseconds` from now, however long that is; the result forgets it. With `Infinity` it never
   * runs. A timer in the background does not keep the process alive.
   */
  after(milliseconds: number, run: () => void, options?: TimerOptions): () => void;
}

export interface TimerOptions {
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

/** Runs something again and again, each time `milliseconds` after it began before; the result ends that. */
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

/** Waits; rejects with the signal's reason where it aborts before. */
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
