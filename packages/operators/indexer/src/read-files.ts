// public: readFiles
import { type Folder, operator, passages, text } from "@tessera/core";
import { z } from "zod";
import { directorySettings } from "./directory.js";
import { readDocuments, unreadFiles } from "./folder-documents.js";

const { maximumBytes, maximumDocumentBytes } = directorySettings.shape;

/**
 * Reads the named files of a resource `folder` as whole documents, in the order of their names. A path is relative to the
 * folder, as its list gives it. What cannot be read is in `skipped` with its reason, and fails nothing.
 * @throws TesseraError BAD_ARGUMENT where a path names what does not lie below the folder
 */
export const readFiles = operator({
  name: "indexer.read-files",
  version: 1,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    summary: "Reads the named files of a folder as documents, each kind by its reader.",
  },
  config: z.strictObject({ folder: z.string().min(1), maximumBytes, maximumDocumentBytes }),
  ports: { input: { paths: z.array(text) }, output: { documents: passages, skipped: unreadFiles } },
  async setup({ folder: name, ...sizes }, host) {
    const folder = await host.resource<Folder>("folder", name);
    return async ({ paths }, { signal }) => {
      const { documents, unread } = await readDocuments(folder, paths, sizes, signal);
      return { documents, skipped: unread };
    };
  },
});
