// internal: FilePassages, isPathBelow, passagesOfFile, Readers, sharedReaders, startOfFile
// what a service reads files with, which takes everything else of an index from this package too
export type { Readers } from "@tessera/indexer";
export { type FilePassages, isPathBelow, passagesOfFile, sharedReaders, startOfFile } from "@tessera/indexer/internal";
