import { workerData } from "node:worker_threads";
import { answerJobs } from "@tessera/core/internal";
import { DecoderThread, StoppedError } from "./forward.js";
import { plan } from "./packed.js";
import type { Answer, Job, ThreadSettings } from "./protocol.js";
import { TeamMember } from "./team.js";

// One thread of a decoder on the CPU. The weights and the cache lie in memory that all its threads share.

const { memory, packed, thread, stop, cells, source } = workerData as ThreadSettings;

await answerJobs<Job, Answer>(() => {
  if (source) plan(source.model, source.cache, source.precision, packed.threads.length).write(memory.buffer);
  const stopped = (): boolean => Atomics.load(stop, 0) === 1;
  const decoder = new DecoderThread(packed, memory, thread, stopped);
  return ({ batch, team }) => {
    try {
      const member = team && new TeamMember(thread, team, cells, stopped, () => new StoppedError());
      return decoder.step(batch, member || undefined);
    } catch (error) {
      if (error instanceof StoppedError) return "stopped";
      throw error;
    }
  };
});
