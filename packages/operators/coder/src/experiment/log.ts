// internal: writeLog, readLog, writeLines, readLines
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";
import { z } from "zod";
import type { LoggedSample } from "./score.js";

/** One problem under one seed: its different programs, and for each arm and round which of them were drawn. */
const line = z.object({
  problem: z.string(),
  seed: z.number(),
  programs: z.array(z.string()),
  rounds: z.array(
    z.object({
      arm: z.string(),
      round: z.number(),
      /** Places in `programs`, and the tokens of each sample. */
      drawn: z.array(z.number()),
      tokens: z.array(z.number()),
      /** Places of the programs that were assembled without a call. */
      assembled: z.array(z.number()).optional(),
    }),
  ),
});
type Line = z.infer<typeof line>;

/** Writes a log as JSON lines under Brotli; samples repeat, so that a hundred thousand of them take some hundred kilobytes. */
export async function writeLog(path: string, samples: readonly LoggedSample[]): Promise<void> {
  const lines = new Map<string, Line>();
  const places = new Map<string, Map<string, number>>();
  for (const { problem, arm, round, seed, code, tokens, assembled } of samples) {
    const key = JSON.stringify([problem, seed]);
    const own = entry(lines, key, () => ({ problem, seed, programs: [], rounds: [] }));
    const known = entry(places, key, () => new Map<string, number>());
    const place = entry(known, code, () => own.programs.push(code) - 1);
    let group = own.rounds.find((one) => one.arm === arm && one.round === round);
    if (!group) {
      group = { arm, round, drawn: [], tokens: [] };
      own.rounds.push(group);
    }
    if (assembled) group.assembled = [...(group.assembled ?? []), place];
    else {
      group.drawn.push(place);
      group.tokens.push(tokens);
    }
  }
  await writeLines(path, [...lines.values()]);
}

/** What a map holds at a key; where there is nothing, it is made. */
export function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}

/** @throws where the file is no log, with the place in it. */
export async function readLog(path: string): Promise<LoggedSample[]> {
  const lines = await readLines(path, line);
  return lines.flatMap(({ problem, seed, programs, rounds }) =>
    rounds.flatMap(({ arm, round, drawn, tokens, assembled = [] }) => [
      ...drawn.map((place, n) => ({ problem, arm, round, seed, code: programs[place]!, tokens: tokens[n]! })),
      ...assembled.map((place) => ({
        ...{ problem, arm, round, seed, code: programs[place]!, tokens: 0, assembled: true },
      })),
    ]),
  );
}

/** Writes values as JSON lines under Brotli. */
export async function writeLines(path: string, values: readonly unknown[]): Promise<void> {
  const text = values.map((value) => `${JSON.stringify(value)}\n`).join("");
  const params = { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_QUALITY]: 9 };
  await writeFile(path, await promisify(brotliCompress)(text, { params }));
}

/** Reads JSON lines under Brotli by a schema. */
export async function readLines<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  const text = (await promisify(brotliDecompress)(await readFile(path))).toString("utf8");
  return text
    .split("\n")
    .filter((one) => one !== "")
    .map((one) => schema.parse(JSON.parse(one)));
}
