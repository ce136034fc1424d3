import { repairFolder } from "@tessera/server";
import { type Terminal, UsageError } from "../terminal.js";
import { serviceFolder } from "./serve.js";

export interface RepairOptions {
  readonly repair?: boolean;
  readonly dropDamaged?: boolean;
}

const shown = 20; // keys of a log that are printed; --json has all

/**
 * Lists what is lost of the damaged logs of the service; drops it where that is asked for.
 * @returns 0 where every log is whole by the end
 */
export async function repairService(
  terminal: Terminal,
  { repair, dropDamaged = false }: RepairOptions,
): Promise<number> {
  if (!repair) throw new UsageError("--drop-damaged goes with --repair, which lists what it drops");
  const logs = await repairFolder(serviceFolder(), { drop: dropDamaged });
  terminal.result({ logs });
  if (logs.length === 0) terminal.say("every log is whole");
  for (const { log, damages, dropped, kept, moved } of logs) {
    terminal.say(`${log}: ${kept} entries are whole`);
    for (const { path, from, bytes } of damages)
      terminal.say(bytes === 0 ? `  ${path} is missing` : `  ${path}: ${bytes} bytes from byte ${from} on are lost`);
    for (const key of dropped.slice(0, shown)) terminal.say(`  ${key} is lost: a value that it names is`);
    if (dropped.length > shown) terminal.say(`  and ${dropped.length - shown} more (--json lists them)`);
    if (moved) terminal.say(`  repaired; the damaged log lies in ${moved}`);
  }
  if (logs.length > 0 && !dropDamaged)
    terminal.say("nothing was changed: add --drop-damaged to keep what is whole and lose the rest");
  return logs.length > 0 && !dropDamaged ? 1 : 0;
}
