import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, type Metric, type MetricValueWithName, Registry } from "prom-client";

interface Labels {
  readonly method: string;
  readonly route: string;
  readonly status: string;
}

/** Requests of the same labels. */
interface Tally {
  readonly labels: Labels;
  count: number;
  seconds: number;
  /** By bucket, those of smaller ones not counted; the last one has no bound. */
  readonly buckets: Uint32Array;
}

const labelNames = ["method", "route", "status"] as const;
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]; // seconds

/** A histogram of how long requests took, counted here: one of the library costs a request as much as checking its key. */
class Durations {
  readonly name = "tessera_http_request_duration_seconds";
  readonly help = "From the first byte of a request to the last of its answer.";
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly #tallies = new Map<string, Tally>();

  get tallies(): Iterable<Tally> {
    return this.#tallies.values();
  }

  add({ method, route, status }: Labels, seconds: number): void {
    const key = `${method} ${status} ${route}`;
    let tally = this.#tallies.get(key);
    if (!tally) {
      tally = { labels: { method, route, status }, count: 0, seconds: 0, buckets: new Uint32Array(bounds.length + 1) };
      this.#tallies.set(key, tally);
    }
    tally.count++;
    tally.seconds += seconds;
    let bucket = 0;
    while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++;
    tally.buckets[bucket]!++;
  }

  reset(): void {
    this.#tallies.clear();
  }

  async get() {
    const { name, help, type, aggregator } = this;
    const values = [...this.#tallies.values()].flatMap(({ labels, count, seconds, buckets }) => {
      let sum = 0;
      const rows: MetricValueWithName<string>[] = [...buckets].map((own, index) => {
        sum += own;
        return { labels: { le: bounds[index] ?? "+Inf", ...labels }, value: sum, metricName: `${name}_bucket` };
      });
      rows.push({ labels: { ...labels }, value: seconds, metricName: `${name}_sum` });
      rows.push({ labels: { ...labels }, value: count, metricName: `${name}_count` });
      return rows;
    });
    return { name, help, type, aggregator, values };
  }
}

/** Counts requests by route and status, and how long they take; beside it what Node says of the process. */
export function metrics(server: FastifyInstance): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  const durations = new Durations();
  registry.registerMetric(durations as unknown as Metric);
  new Counter({
    name: "tessera_http_requests_total",
    help: "Requests that were answered.",
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, count } of durations.tallies) this.inc({ ...labels }, count);
    },
  });
  server.addHook("onResponse", ({ method, routeOptions }, reply, done) => {
    const labels = { method, route: routeOptions.url ?? "none", status: String(reply.statusCode) };
    durations.add(labels, reply.elapsedTime / 1000);
    done();
  });
  return registry;
}
