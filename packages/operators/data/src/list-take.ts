// public: listTake
import { operator, type PortType } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { type Element, listOf, of } from "./element.js";

const specification = operator({
  name: "list.take",
  version: 1,
  about: { module: "data", submodule: "list", summary: "Keeps the first or the last elements of a list." },
  config: z.strictObject({ of, count: z.int().nonnegative(), from: z.enum(["start", "end"]).default("start") }),
  ports: ({ of }) => ({ input: { list: listOf(of) }, output: { list: listOf(of) } }),
  effects: "none",
  setup:
    ({ count, from }) =>
    ({ list }) => {
      const all = list as unknown[];
      return { list: from === "start" ? all.slice(0, count) : all.slice(Math.max(0, all.length - count)) };
    },
});

/** Keeps the first, or with `from: "end"` the last, `count` elements in their order. `of` names their type. */
export const listTake =
  typed<
    <const T extends PortType = "any">(config: {
      of?: T;
      count: number;
      from?: "start" | "end";
    }) => Piece<{ list: Element<T>[] }, { list: Element<T>[] }>
  >(specification);
