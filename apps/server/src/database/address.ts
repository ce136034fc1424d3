// internal: loaded where a database is given
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";

const damaged = (path: string, what: string, cause: unknown) =>
  new TesseraError("STORE_FAILED", `${what} of the database cannot be used: ${messageOf(cause)}`, {
    path,
    hint: "the address of the database names the file",
    cause,
  });

/** The files that an address may name, and how each is looked at. */
const files: Readonly<Record<string, readonly [what: string, look: (text: Buffer) => unknown]>> = {
  sslrootcert: ["the root certificate", (text) => new X509Certificate(text)],
  sslcert: ["the certificate", (text) => new X509Certificate(text)],
  sslkey: ["the private key", (text) => createPrivateKey(text)],
};

/**
 * The address of a database, looked at before anybody connects.
 * @throws TesseraError BAD_ARGUMENT where it is none; STORE_FAILED with the file where a file of TLS that it names is
 * missing or damaged.
 */
export async function addressOf(url: string): Promise<URL> {
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (!address || !/^postgres(ql)?:$/.test(address.protocol))
    throw new TesseraError("BAD_ARGUMENT", "the address of a database is postgres://user:password@host:port/name");
  for (const [name, [what, look]] of Object.entries(files)) {
    const path = address.searchParams.get(name);
    if (path === null || path === "system") continue;
    try {
      look(await readFile(path));
    } catch (cause) {
      throw damaged(path, what, cause);
    }
  }
  return address;
}
