import { openTelemetry } from "@tessera/telemetry";
import { createTessera } from "@tessera/tessera";

// your service starts OpenTelemetry's SDK with the exporter that it wants
export const tessera = createTessera({ flows: {}, resources: {}, observer: openTelemetry() });
