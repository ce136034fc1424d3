import type { Report } from "./measure/report.js";
import access from "./service-access.js";
import http from "./service-http.js";
import retrieval from "./service-retrieval.js";

/** All figures of a service, each part with its own table; every part is a bench of its own too. */
export default async function service(report: Report): Promise<void> {
  await http(report.part("service-http"));
  await access(report.part("service-access"));
  await retrieval(report.part("service-retrieval"));
}
