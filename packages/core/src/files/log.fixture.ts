// for tests only: appends numbers to a log and says which are confirmed, until it is killed
import { writeSync } from "node:fs";
import { AppendLog } from "./append-log.js";

const log = await AppendLog.open({ folder: process.argv[2]!, segmentBytes: 4096 });
const from = log.next;
for (let round = 0; ; round++)
  await Promise.all(
    Array.from({ length: 8 }, async (_, place) => {
      const number = from + round * 8 + place;
      await log.append([Buffer.from(`entry ${number}`)]);
      writeSync(1, `${number}\n`);
    }),
  );
