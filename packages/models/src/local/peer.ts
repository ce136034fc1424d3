import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";

/**
 * Loads a library that only some users install. `install` is the command that installs it.
 * @throws TesseraError DEPENDENCY_MISSING, with that command as the hint
 */
export async function importPeer<T>(name: string, load: () => Promise<T>, install: string): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    const isThere = code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND";
    throw new TesseraError(
      "DEPENDENCY_MISSING",
      isThere ? `${name} cannot be loaded: ${messageOf(cause)}` : `${name} is not installed`,
      { hint: `install it: ${install}`, cause },
    );
  }
}
