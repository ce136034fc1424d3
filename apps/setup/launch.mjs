// runs a built program of this repository, in this process and in the folder that the command was typed in
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root, SetupError, setup } from "./setup.mjs";

/** Sets the checkout up, then runs `apps/<app>` with these arguments. */
export async function launch(app, args) {
  const program = join(root, "apps", app, "dist", "main.js");
  if (!existsSync(join(root, "apps", app, "package.json")))
    throw new SetupError(`This checkout has no apps/${app} yet, so there is nothing to run.`);
  setup();
  if (!existsSync(program)) throw new SetupError(`apps/${app} was built but left no dist/main.js.`);
  process.chdir(process.env.INIT_CWD ?? process.cwd());
  process.argv = [process.execPath, program, ...args];
  await import(pathToFileURL(program).href);
}
