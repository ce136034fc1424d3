// public: isLong, countOf
/** Whether TESSERA_LONG is set, as by `npm run test:long`: tests do in full what takes long. */
export const isLong = Boolean(process.env.TESSERA_LONG);

/** How many cases a test takes: as many as are usual in `npm test`, more in `npm run test:long`. */
export const countOf = ({ usual, long }: { readonly usual: number; readonly long: number }): number =>
  isLong ? long : usual;
