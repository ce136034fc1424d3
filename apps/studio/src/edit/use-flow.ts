import { useEffect, useState } from "react";
import { ask, findingOf } from "../api/client.js";
import type { Check, Finding, FlowDocument } from "../api/types.js";
import { useSettled } from "../ui/use.js";

/** What the service's compiler says of a document, a moment after it was last changed. */
export function useCheck(document: FlowDocument): { check: Check | undefined; error: Finding | undefined } {
  const settled = useSettled(document, 200);
  const [state, setState] = useState<{ check?: Check; error?: Finding }>({});
  useEffect(() => {
    const controller = new AbortController();
    ask<Check>("/check", { method: "POST", body: { document: settled }, signal: controller.signal }).then(
      (check) => setState({ check }),
      (thrown) =>
        controller.signal.aborted || setState(({ check }) => ({ ...(check && { check }), error: findingOf(thrown) })),
    );
    return () => controller.abort();
  }, [settled]);
  return { check: state.check, error: state.error };
}

/** The document that a name stands for in the editor: of the folder, of the service, or of the catalogue. */
export async function openFlow(name: string): Promise<{ document: FlowDocument; isOwn: boolean }> {
  const kept = await ask<{ document: FlowDocument }>(`/studio/work/${name}`).catch(() => undefined);
  if (kept) return { document: kept.document, isOwn: true };
  const served = await ask<{ document: FlowDocument; uploaded: boolean }>(`/flows/${name}`).catch(() => undefined);
  if (served) return { document: served.document, isOwn: served.uploaded };
  const { flows } = await ask<{ flows: { name: string; document: FlowDocument }[] }>("/catalogue");
  const found = flows.find((flow) => flow.name === name);
  if (found) return { document: found.document, isOwn: false };
  throw new Error(name);
}

/** Hands a text to the reader as a file. */
export function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
