import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Report } from "./measure/report.js";

/** All figures of a service: every bench whose name begins with "service-", each with a table of its own. */
export default async function service(report: Report): Promise<void> {
  const names = readdirSync(fileURLToPath(new URL(".", import.meta.url)))
    .map((file) => /^(service-[a-z-]+)\.[jt]s$/.exec(file)?.[1])
    .filter((name) => name !== undefined);
  for (const name of names) {
    const { default: run } = (await import(`./${name}.js`)) as { default: (report: Report) => Promise<void> };
    await run(report.part(name));
  }
}
