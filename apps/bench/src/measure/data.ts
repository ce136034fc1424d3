import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = process.env.TESSERA_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));

/**
 * A file of the evaluation data, which is no part of this repository: TESSERA_DATA says where it lies (../shared/data).
 * @throws Error where it is missing
 */
export function data<T>(path: string): T {
  const file = join(folder, path);
  if (!existsSync(file))
    throw new Error(`there is no ${path} in ${folder}; set TESSERA_DATA to the folder of the data`);
  return JSON.parse(readFileSync(file, "utf8")) as T;
}
