// npm start [-- <command of the CLI> …]: sets up, then answers a question about a codebase
import { join } from "node:path";
import { launch } from "./launch.mjs";
import { main, root } from "./setup.mjs";

const question = "How does a union schema report the issues when no option matches?";

/** The TypeScript sources of a dependency that ships them: a real codebase that is nobody's here. */
const source = join(root, "packages", "core", "node_modules", "zod", "src");

const args = process.argv.slice(2);
await main(() => launch("cli", args.length > 0 ? args : ["ask", question, "--source", source]));
