// public: listCompact
import { operator, type PortType } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { type Element, listOf, of } from "./element.js";

const specification = operator({
  name: "list.compact",
  version: 1,
  about: { module: "data", submodule: "list", summary: "Drops the empty places that skipped elements left." },
  config: z.strictObject({ of }),
  ports: ({ of }) => ({ input: { list: z.array(z.any()) }, output: { list: listOf(of) } }),
  effects: "none",
  setup:
    () =>
    ({ list }) => ({ list: list.filter((item) => item !== null && item !== undefined) }),
});

/** Drops what is `null`: the places of elements that an `each` skipped. `false`, 0 and "" are values and stay. */
export const listCompact =
  typed<
    <const T extends PortType = "any">(config?: {
      of?: T;
    }) => Piece<{ list: (Element<T> | null | undefined)[] }, { list: Element<T>[] }>
  >(specification);
