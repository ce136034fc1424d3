// npm run test:one PACKAGE [words of file names …]: runs the tests of one package, on its sources
import { spawnSync } from "node:child_process";
import { basename, join } from "node:path";
import { environment, main, readJson, root, SetupError, workspaces } from "./setup.mjs";

await main(() => {
  const [name = "", ...words] = process.argv.slice(2);
  const folder = workspaces().find((place) =>
    [readJson(join(place, "package.json")).name, basename(place)].includes(name),
  );
  if (!folder)
    throw new SetupError(
      `There is no package "${name}": say one of ${workspaces()
        .map((place) => basename(place))
        .join(", ")}.`,
    );
  const { status } = spawnSync(process.execPath, [join(root, "apps", "setup", "tessera-test.mjs"), ...words], {
    cwd: folder,
    env: environment(),
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
});
