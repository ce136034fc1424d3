import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { findingOf, openSession } from "./api/client.js";
import type { Finding } from "./api/types.js";
import { Shell } from "./shell.js";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/pages.css";

/** Takes the token out of the address before anything else is shown, so that it stays in no history. */
async function enter(): Promise<Finding | undefined> {
  const [, token] = /^#token=([A-Za-z0-9_-]+)$/.exec(location.hash) ?? [];
  if (token === undefined) return undefined;
  history.replaceState(null, "", location.pathname);
  return openSession(token).then(() => undefined, findingOf);
}

const refused = await enter();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Shell refused={refused} />
  </StrictMode>,
);
