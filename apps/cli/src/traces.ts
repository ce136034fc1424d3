import { TesseraError } from "@tessera/core";
import { missing } from "@tessera/core/internal";
import type { Observer } from "@tessera/graph";
import { openTelemetry } from "@tessera/telemetry";

export interface Traces {
  readonly observer: Observer;
  /** Sends what waits, for at most five seconds. */
  close(): Promise<void>;
}

const waiting = 20_000; // spans; what comes beyond, while nobody takes them, is lost
const patience = 5000; // milliseconds

/** An OTLP receiver's place for traces: OpenTelemetry adds "v1/traces" to an endpoint for all signals. */
const placeOf = (endpoint: string): string =>
  /\/v1\/traces\/?$/.test(endpoint) ? endpoint : `${endpoint.replace(/\/$/, "")}/v1/traces`;

/**
 * Sends a trace of every run to an OTLP receiver over HTTP, as OTEL_EXPORTER_OTLP_HEADERS and OTEL_SERVICE_NAME say
 * besides. A receiver that is not there holds up nothing. Texts go in where `content` is on.
 * @throws TesseraError BAD_ARGUMENT where the endpoint is no URL; DEPENDENCY_MISSING.
 */
export async function openTraces(endpoint: string, { content = false } = {}): Promise<Traces> {
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new TesseraError("BAD_ARGUMENT", `"${endpoint}" is not the URL of an OTLP receiver`, {
      hint: 'as in "http://127.0.0.1:4318"',
    });
  const [
    { OTLPTraceExporter },
    { BatchSpanProcessor, NodeTracerProvider },
    { defaultResource, resourceFromAttributes },
  ] = await Promise.all([
    import("@opentelemetry/exporter-trace-otlp-http").catch(missing("@opentelemetry/exporter-trace-otlp-http")),
    import("@opentelemetry/sdk-trace-node").catch(missing("@opentelemetry/sdk-trace-node")),
    import("@opentelemetry/resources").catch(missing("@opentelemetry/resources")),
  ]);
  const exporter = new OTLPTraceExporter({ url: placeOf(endpoint) });
  const provider = new NodeTracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME ?? "tessera" }),
    ),
    spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: waiting })],
  });
  return {
    observer: openTelemetry({ tracer: provider.getTracer("@tessera/telemetry"), content }),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patience);
      });
      await Promise.race([provider.shutdown().catch(() => {}), late]);
      clearTimeout(timer);
    },
  };
}
