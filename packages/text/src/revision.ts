// public: wordsRevision
/** Changes when `words` reads a text in another way: what was indexed before is then indexed again. */
export const wordsRevision = "words-2";
