import type { Filter } from "@tessera/core";

/** What meets both filters, where there are two. */
export const both = (left: Filter | undefined, right: Filter | undefined): Filter | undefined =>
  left && right ? { all: [left, right] } : (left ?? right);
