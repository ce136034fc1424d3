// the processor time of what a program started
import { readFileSync } from "node:fs";

/** The system's ticks of processor time in a second: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/**
 * The seconds of processor time that ended descendants of a process took, as Linux counts them: each process adds up
 * those that it has waited for, with theirs.
 * @returns undefined where the system has no such count.
 */
export function descendantsSeconds(pid = "self") {
  let status;
  try {
    status = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // the name in parentheses may hold anything; the fields after it are numbered from 3: 16 is cutime, 17 is cstime
  const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[16 - 3]) + Number(fields[17 - 3])) / ticksPerSecond;
}
