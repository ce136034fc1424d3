// lets Node run the TypeScript sources as they are, in worker threads and child processes too (they inherit the flags):
//   node --conditions=@tessera/source --import=…/apps/setup/sources.mjs main.ts
import { register } from "node:module";

register("./sources-hooks.mjs", import.meta.url);
