import { type DependencyList, useCallback, useEffect, useRef, useState } from "react";
import { findingOf } from "../api/client.js";
import type { Finding } from "../api/types.js";

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: Finding | undefined;
  /** Asks once more, and keeps what is shown until the answer comes. */
  readonly again: () => void;
}

/** What a question to the service gives; asked again when one of `on` changes. An answer that comes too late is dropped. */
export function useLoaded<T>(load: () => Promise<T>, on: DependencyList): Loaded<T> {
  const [state, setState] = useState<{ value?: T | undefined; error?: Finding | undefined }>({});
  const [turn, setTurn] = useState(0);
  const asked = useRef(load);
  asked.current = load;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the caller says when it is another question
  useEffect(() => {
    let current = true;
    asked.current().then(
      (value) => current && setState({ value }),
      (thrown) => current && setState(({ value }) => ({ value, error: findingOf(thrown) })),
    );
    return () => {
      current = false;
    };
  }, [...on, turn]);
  const again = useCallback(() => setTurn((now) => now + 1), []);
  return { value: state.value, error: state.error, again };
}

/** The last value that stayed the same for some milliseconds. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** A button's work: what it waits for and what went wrong. */
export function useWork(): { busy: boolean; error: Finding | undefined; work: (what: () => Promise<unknown>) => void } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Finding>();
  const work = useCallback((what: () => Promise<unknown>) => {
    setBusy(true);
    setError(undefined);
    what()
      .catch((thrown) => setError(findingOf(thrown)))
      .finally(() => setBusy(false));
  }, []);
  return { busy, error, work };
}
