// npm run bench | eval | serve [-- …]: sets up, then runs that program
import { launch } from "./launch.mjs";
import { main, SetupError } from "./setup.mjs";

const programs = {
  bench: { app: "bench", args: [] },
  eval: { app: "cli", args: ["eval"] },
  serve: { app: "cli", args: ["serve"] },
};

await main(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (!Object.hasOwn(programs, name ?? ""))
    throw new SetupError(`Say what to run: ${Object.keys(programs).join(", ")}.`);
  const { app, args: before } = programs[name];
  await launch(app, [...before, ...args]);
});
