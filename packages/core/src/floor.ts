/** The oldest Node that Tessera runs on: the first 22 that gives ES modules to `require`. */
const floor = [22, 12] as const;

/**
 * Called where this package is loaded, and so before the others do anything: on an older Node the reason is one line, and not
 * whatever that Node lacks first.
 * @throws Error that names the floor
 */
export function assertNode(version: string = process.versions.node): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > floor[0] || (major === floor[0] && minor >= floor[1])) return;
  const error = new Error(`Tessera needs Node ${floor.join(".")} or later; this is v${version}.`);
  // where it was thrown is no help
  error.stack = String(error);
  throw error;
}
