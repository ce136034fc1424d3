import type { Resource } from "@tessera/core";
import { stepAtWork } from "./outer.js";

/** The kinds of resources that cost something to ask, and those that do not. Of others nothing is known. */
const costs = new Set(["model", "encoder", "reranker"]);
const free = new Set(["store", "database", "graph-database", "graph", "folder", "sandbox", "prompt"]);

/** The methods of a model or an encoder that ask it for nothing. */
const looks = new Set<PropertyKey>(["space", "searches", "count", "check", "close", "then"]);

/**
 * Watches which steps of an operator ask its models. A step that asked none has no calls to report, so that it need not
 * report that. Where it is not certain who asks, every step under way counts as one that does.
 */
export class Asking {
  /** Whether all that the operator uses is watched, so that it asks nothing unseen. */
  private isWhole = true;
  private isWatching = false;
  /** How often something was asked by nobody who is known: the operator called it outside of its step. */
  unknown = 0;

  /** Whether the operator has something to ask, and all of it is watched. */
  get isCertain(): boolean {
    return this.isWatching && this.isWhole;
  }

  /** The resource as the operator gets it. */
  watch<T extends Resource>(kind: string, resource: T): T {
    if (free.has(kind)) return resource;
    if (!costs.has(kind) || !canBeWatched(resource)) {
      this.isWhole = false;
      return resource;
    }
    this.isWatching = true;
    return this.watched(resource);
  }

  private watched<T extends Resource>(resource: T): T {
    const methods = new Map<PropertyKey, { readonly of: unknown; readonly call: unknown }>();
    return new Proxy(resource, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const known = methods.get(name);
        if (known?.of === value) return known.call;
        const call = (...values: unknown[]) => {
          if (!looks.has(name)) this.asked();
          return Reflect.apply(value, target, values);
        };
        methods.set(name, { of: value, call });
        return call;
      },
    });
  }

  private asked(): void {
    if (!stepAtWork()?.asks(this)) this.unknown++;
  }
}

/** A proxy must give out a property that can never change as it is. */
function canBeWatched(resource: object): boolean {
  for (const { value, writable, configurable } of Object.values(Object.getOwnPropertyDescriptors(resource)))
    if (typeof value === "function" && !writable && !configurable) return false;
  return true;
}
