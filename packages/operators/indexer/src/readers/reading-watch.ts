import { workerData } from "node:worker_threads";

// A thread beside one that reads, which takes no jobs and is therefore no `Thread` of core: it ends the process where that takes more memory than a file may, or where whoever
// asked is gone. The other thread may be in a loop, and cannot do it itself.

const { memory, parent } = workerData as { memory: number; parent: number };
setInterval(() => {
  if (process.memoryUsage.rss() > memory || process.ppid !== parent) process.kill(process.pid, "SIGKILL");
}, 50);
