// public: processorTimer
/**
 * Starts to count the processor time of this process; the result gives the milliseconds since then. Unlike the time on a
 * clock it does not grow because other programs are busy, so a test may hold it against a limit.
 */
export function processorTimer(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
}
