import { setTimeout as sleep } from "node:timers/promises";
import { TesseraError } from "../errors.js";
import { WriterLock } from "./writer-lock.js";

// a process that takes the lock of a folder many times, after whoever holds it: folder, times
const [folder = "", times = "1"] = process.argv.slice(2);
for (let done = 0; done < Number(times); ) {
  const lock = await WriterLock.acquire(folder).catch((error) => {
    if (!TesseraError.is(error) || error.code !== "INDEX_LOCKED") throw error;
  });
  await sleep(2 * Math.random());
  if (!lock) continue;
  lock.assertHeld();
  await lock.release();
  done++;
}
