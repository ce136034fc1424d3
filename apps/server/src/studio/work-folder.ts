import { mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { type FlowDocument, printFlow, TesseraError } from "@tessera/core";
import { hashDocument, inSlices, parsingJson, readingDocument, warn } from "@tessera/core/internal";
import { catalogue } from "@tessera/tessera";
import type { Library } from "../library.js";

/** Where an operator of the catalogue is imported from, for printed code. */
export const importOf = (name: string) => {
  const entry = catalogue.get(name);
  return entry && { from: entry.from, name: entry.export };
};

/**
 * The folder in which the studio saves flows: `<name>.flow.json` and `<name>.flow.ts`, and every saved version under
 * `.tessera/versions/<name>/<hash>.json`. Names are checked before they come here; nothing outside is reached by a link.
 */
export class WorkFolder {
  constructor(private readonly folder: string) {}

  get name(): string {
    return basename(this.folder);
  }

  /** A folder in this one, made where it is missing. @throws TesseraError FORBIDDEN where a link leads out. */
  async inside(...parts: string[]): Promise<string> {
    const root = await realpath(this.folder);
    let real = root;
    for (const part of parts) {
      // one after the other, so that nothing is made behind a link
      const path = join(real, part);
      await mkdir(path).catch(() => {});
      real = await realpath(path);
      if (!real.startsWith(root + sep))
        throw new TesseraError("FORBIDDEN", "the folder leads out of the one that was handed over", {
          path: parts.join("/"),
        });
    }
    if (parts[0] === ".tessera") await keepOut(join(root, ".tessera"));
    return real;
  }

  /** Replaces a file as a whole; a link that stands in its place is replaced, not followed. */
  async write(path: string, text: string): Promise<void> {
    const draft = `${path}.draft`;
    await rm(draft, { force: true });
    await writeFile(draft, text, { flag: "wx" });
    await rename(draft, path);
  }

  async list(): Promise<{ name: string; hash?: string; error?: string }[]> {
    const files = (await readdir(this.folder).catch(() => [])).filter((file) => file.endsWith(".flow.json"));
    return Promise.all(
      files.sort().map(async (file) => {
        const name = file.slice(0, -".flow.json".length);
        try {
          return { name, hash: hashDocument((await this.read(name)).document) };
        } catch (error) {
          return { name, error: TesseraError.is(error) ? error.message : "it cannot be read" };
        }
      }),
    );
  }

  /** @throws TesseraError NOT_FOUND, BAD_DOCUMENT */
  async read(name: string): Promise<{ document: FlowDocument }> {
    const real = await realpath(join(this.folder, `${name}.flow.json`)).catch(() => undefined);
    if (!real?.startsWith((await realpath(this.folder)) + sep))
      throw new TesseraError("NOT_FOUND", `the folder has no flow "${name}"`, { path: name });
    return { document: await inSlices(readingDocument(await inSlices(parsingJson(await readFile(real, "utf8"))))) };
  }

  /** @throws TesseraError BAD_DOCUMENT */
  async save(name: string, value: unknown): Promise<{ hash: string; files: string[]; changed: boolean }> {
    const document: FlowDocument = { ...(await inSlices(readingDocument(value))), name };
    const hash = hashDocument(document);
    const before = await this.read(name).catch(() => undefined);
    const folder = await this.inside();
    const files = [`${name}.flow.json`, `${name}.flow.ts`];
    const text = `${JSON.stringify(document, undefined, 2)}\n`;
    await this.write(join(folder, files[0]!), text);
    await this.write(join(folder, files[1]!), printFlow(document, { importOf }));
    await this.write(join(await this.inside(".tessera", "versions", name), `${hash}.json`), text);
    return { hash, files, changed: !before || hashDocument(before.document) !== hash };
  }

  async versions(name: string): Promise<{ hash: string; saved: string }[]> {
    const folder = await this.inside(".tessera", "versions", name);
    const found = await Promise.all(
      (await readdir(folder))
        .filter((file) => /^[0-9a-f]{64}\.json$/.test(file))
        .map(async (file) => ({
          hash: file.slice(0, 64),
          saved: (await stat(join(folder, file))).mtime.toISOString(),
        })),
    );
    return found.sort((a, b) => (a.saved < b.saved ? 1 : -1));
  }

  /** @throws TesseraError NOT_FOUND */
  async version(name: string, hash: string): Promise<FlowDocument> {
    const folder = await this.inside(".tessera", "versions", name);
    const text = await readFile(join(folder, `${hash}.json`), "utf8").catch(() => {
      throw new TesseraError("NOT_FOUND", `there is no such version of "${name}"`, { path: hash });
    });
    return JSON.parse(text) as FlowDocument;
  }
}

/** Keeps what the studio makes out of the index of the folder and out of its repository. */
const keepOut = (folder: string): Promise<void> =>
  writeFile(join(folder, ".gitignore"), "*\n", { flag: "wx" }).catch(() => {});

/** Uploads the flows of a folder, so that they can run; one that cannot is left out, with a warning. */
export async function uploadFlows(library: Library, folder: string): Promise<void> {
  const work = new WorkFolder(folder);
  for (const { name, error } of await work.list())
    try {
      if (error === undefined) await library.put({ ...(await work.read(name)).document, name });
    } catch (thrown) {
      warn(`the flow ${name} of the folder cannot run`, thrown);
    }
}
