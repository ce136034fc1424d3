import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";

/** Counts requests by route and status, and how long they take; beside it what Node says of the process. */
export function metrics(server: FastifyInstance): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  const labelNames = ["method", "route", "status"] as const;
  const requests = new Counter({
    name: "tessera_http_requests_total",
    help: "Requests that were answered.",
    labelNames,
    registers: [registry],
  });
  const seconds = new Histogram({
    name: "tessera_http_request_duration_seconds",
    help: "From the first byte of a request to the last of its answer.",
    labelNames,
    registers: [registry],
  });
  server.addHook("onResponse", async ({ method, routeOptions }, reply) => {
    const labels = { method, route: routeOptions.url ?? "none", status: String(reply.statusCode) };
    requests.inc(labels);
    seconds.observe(labels, reply.elapsedTime / 1000);
  });
  return registry;
}
