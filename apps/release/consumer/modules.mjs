// how many modules an import loads, without those of zod, as JSON: node modules.mjs @tessera/tessera
import { registerHooks } from "node:module";

const loaded = [];
registerHooks({
  load(url, context, next) {
    if (!url.includes("/node_modules/zod/")) loaded.push(url);
    return next(url, context);
  },
});
await import(process.argv[2]);
console.log(JSON.stringify(loaded.length));
