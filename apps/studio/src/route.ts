import { useSyncExternalStore } from "react";

/** Where the reader is: the parts of the address after "#/", and what follows "?". */
export interface Route {
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
}

const read = (): string => location.hash.replace(/^#\/?/, "");
let text = read();
let current = parse(text);

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.split(/\?(.*)/s);
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

function snapshot(): Route {
  const now = read();
  if (now !== text) {
    text = now;
    try {
      current = parse(now);
    } catch {
      current = { parts: [], query: new URLSearchParams() };
    }
  }
  return current;
}

export const useRoute = (): Route => useSyncExternalStore(subscribe, snapshot);

/** The address of a place in the studio. */
export const to = (...parts: readonly string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;

export const go = (address: string): void => {
  location.hash = address.replace(/^#/, "");
};

/** Replaces the part behind "?" without a step back in the history. */
export function setQuery(name: string, value: string | undefined): void {
  const { parts, query } = snapshot();
  const next = new URLSearchParams(query);
  if (value === undefined || value === "") next.delete(name);
  else next.set(name, value);
  const search = next.toString();
  history.replaceState(null, "", `${to(...parts)}${search === "" ? "" : `?${search}`}`);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
