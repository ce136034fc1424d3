// public: listAppend
import { operator, type PortType } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { type Element, element, listOf, of } from "./element.js";

const specification = operator({
  name: "list.append",
  version: 1,
  about: { module: "data", submodule: "list", summary: "Adds one element to a list." },
  config: z.strictObject({ of, at: z.enum(["start", "end"]).default("end") }),
  ports: ({ of }) => ({ input: { list: listOf(of), item: element(of) }, output: { list: listOf(of) } }),
  effects: "none",
  setup:
    ({ at }) =>
    ({ list, item }) => ({
      list: at === "end" ? [...(list as unknown[]), item] : [item, ...(list as unknown[])],
    }),
});

/** Adds one element to a list, at its end or its start. `of` names the type of the elements. */
export const listAppend =
  typed<
    <const T extends PortType = "any">(config?: {
      of?: T;
      at?: "start" | "end";
    }) => Piece<{ list: Element<T>[]; item: Element<T> }, { list: Element<T>[] }>
  >(specification);
