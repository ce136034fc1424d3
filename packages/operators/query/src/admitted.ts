import { type Database, TesseraError } from "@tessera/core";

const name = /^[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*){0,5}$/u;

/**
 * The functions that a database admits besides those of its language that only read.
 * @throws TesseraError BAD_ARGUMENT where one is no name.
 */
export function admittedBy({ functions = [] }: Pick<Database, "functions">, path: string): readonly string[] {
  const wrong = functions.find((one) => typeof one !== "string" || !name.test(one));
  if (wrong !== undefined)
    throw new TesseraError(
      "BAD_ARGUMENT",
      `the database admits ${JSON.stringify(wrong)}, which is no function's name`,
      {
        path,
        hint: 'a name with its schema, if any, such as "app.rank_of"',
      },
    );
  return functions;
}
