// public: listDifference
import { operator, type PortType } from "@tessera/core";
import { canonicalJson, type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { type Element, listOf, of } from "./element.js";

function identityOf(value: unknown): string {
  const { passage, id } = (typeof value === "object" && value !== null ? value : {}) as {
    passage?: { id?: unknown };
    id?: unknown;
  };
  const name = passage?.id ?? id;
  return typeof name === "string" ? name : canonicalJson(value);
}

const specification = operator({
  name: "list.difference",
  version: 1,
  about: { module: "data", submodule: "list", summary: "Keeps what another list does not hold." },
  config: z.strictObject({ of, by: z.enum(["value", "id"]).default("value") }),
  ports: ({ of }) => ({ input: { list: listOf(of), without: listOf(of) }, output: { list: listOf(of) } }),
  effects: "none",
  setup: ({ by }) => {
    const key = by === "id" ? identityOf : canonicalJson;
    return ({ list, without }) => {
      const gone = new Set((without as unknown[]).map(key));
      return { list: (list as unknown[]).filter((item) => !gone.has(key(item))) };
    };
  },
});

/**
 * Keeps the elements of `list` that `without` does not hold, in their order; repeated ones stay repeated.
 * Elements are equal by value, or with `by: "id"` by their id or that of their passage, whatever their scores.
 */
export const listDifference =
  typed<
    <const T extends PortType = "any">(config?: {
      of?: T;
      by?: "value" | "id";
    }) => Piece<{ list: Element<T>[]; without: Element<T>[] }, { list: Element<T>[] }>
  >(specification);
