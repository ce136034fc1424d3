import type { Passage } from "@tessera/core";

/** What BM25 reads of a passage. */
export const indexedText = ({ title, text }: Passage): string => (title === undefined ? text : `${title}\n${text}`);
