import picocolors from "picocolors";

const { NO_COLOR, FORCE_COLOR } = process.env;

/** Colours for people at a terminal; a build server's log is none. FORCE_COLOR and NO_COLOR decide where they are set. */
export const colors = picocolors.createColors(!NO_COLOR && (Boolean(FORCE_COLOR) || process.stdout.isTTY === true));
