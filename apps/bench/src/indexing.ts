import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Codebase } from "@tessera/indexer";
import { chunkCode } from "@tessera/indexer/internal";
import type { Report } from "./measure/report.js";
import { milliseconds, percentile } from "./measure/rounds.js";

const rounds = 5;
const system = "tessera, zod's source";

/** The index of a codebase, with passages alone: how fast it is built, brought up to date and opened; medians. */
export default async function indexing(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-indexing-"));
  try {
    const root = join(folder, "root");
    cpSync(join(dirname(createRequire(import.meta.url).resolve("zod/package.json")), "src"), root, { recursive: true });
    const index = join(folder, "index");
    await Codebase.update(index, { root }); // loads the parser
    const { files } = await Codebase.open(index);
    const texts = files.map((path) => ({ id: path, text: readFileSync(join(root, path), "utf8"), metadata: {} }));
    const megabytes = texts.reduce((sum, { text }) => sum + text.length, 0) / 1e6;
    report.add(system, "files", files.length, "files");
    report.add(system, "size", megabytes, "MB");

    const samples = {
      cut: [] as number[],
      build: [] as number[],
      still: [] as number[],
      edit: [] as number[],
      open: [] as number[],
    };
    const edited = join(root, files[0]!);
    for (let round = 0; round < rounds; round++) {
      report.say(`round ${round + 1} of ${rounds}`);
      samples.cut.push(
        await milliseconds(async () => {
          for (const document of texts) await chunkCode(document, { maximum: 400 });
        }),
      );
      samples.build.push(await milliseconds(() => Codebase.update(index, { root, rebuild: true })));
      samples.still.push(await milliseconds(() => Codebase.update(index, { root })));
      writeFileSync(edited, `// ${round}\n${readFileSync(edited, "utf8")}`);
      samples.edit.push(await milliseconds(() => Codebase.update(index, { root })));
      samples.open.push(await milliseconds(async () => (await Codebase.open(index)).passages()));
    }
    const median = (list: number[]) => percentile(list, 0.5);
    report.add(system, "cut by syntax tree", (files.length / median(samples.cut)) * 1000, "files/s");
    report.add(system, "build on disk", (files.length / median(samples.build)) * 1000, "files/s");
    report.add(system, "update, nothing changed", median(samples.still), "ms");
    report.add(system, "update, one file changed", median(samples.edit), "ms");
    report.add(system, "open and read all passages", median(samples.open), "ms");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
