import { z } from "zod";
import { indexOfStore } from "./index-store.js";
import { ownerOf } from "./owners.js";
// A circle of types: the server is made of routes, and each route takes what the server was given.
import type { Service } from "./server.js";
import { fitsPlainly } from "./validate.js";

// what routes have in common

const isName = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** A name in an address. */
export const named = fitsPlainly(z.object({ name: z.string().regex(isName) }), (params) =>
  isName.test((params as { readonly name: string }).name),
);

/** What the service knows of what a flow writes. */
export const writing = ({ owners, indexes }: Service) => ({
  indexOf: (store: string) => indexOfStore(store, indexes?.all ?? []),
  ownerOf: (index: string) => ownerOf(owners, "index", index, true),
});
