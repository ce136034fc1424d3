// public: listFlatten
import { operator, type PortType } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { type Element, listOf, of } from "./element.js";

const specification = operator({
  name: "list.flatten",
  version: 1,
  about: { module: "data", submodule: "list", summary: "Joins lists into one, in order." },
  config: z.strictObject({ of }),
  ports: ({ of }) => ({ input: { lists: z.array(listOf(of)) }, output: { list: listOf(of) } }),
  effects: "none",
  setup:
    () =>
    ({ lists }) => ({ list: (lists as unknown[][]).flat(1) }),
});

/** Joins lists into one, in order; it takes off one level only. `of` names the type of the elements. */
export const listFlatten =
  typed<
    <const T extends PortType = "any">(config?: { of?: T }) => Piece<{ lists: Element<T>[][] }, { list: Element<T>[] }>
  >(specification);
