// internal: normalQuery
/** The form in which two queries are the same (erratum E3): case, spacing, quotes and the final mark do not count. */
export const normalQuery = (query: string): string =>
  query
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/^["'“”‘’\s]+|["'“”‘’?.!\s]+$/g, "");
