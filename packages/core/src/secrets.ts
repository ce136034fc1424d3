// internal: maskSecrets
const mask = "•••";

/** What is a secret by its own shape, or by what stands before it. `$1` stays. Every repetition has a limit or one way to match. */
const shapes: readonly (readonly [RegExp, string])[] = [
  // a private key, whole or cut off
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, mask],
  // user and password of an address; a password may hold "@" and "/"
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s"'<>]{1,2000}@/gi, `$1${mask}@`],
  // "Authorization: Bearer …" and its kin
  [/\b((?:bearer|basic|digest|negotiate)[ \t]{1,8})(?![ \t])[^\s"',;]+/gi, `$1${mask}`],
  // a name and its value: `password=…`, `"api_key": "…"`, `Incorrect API key provided: …`
  [
    /((?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|signature|sig|authorization|cookie|(?:api|access|account|auth|private|secret|shared|signing|license)[ _-]?key)(?: (?:is|was|provided|given)){0,3}["']?[ \t]{0,4}[:=][ \t]{0,4})(?:"[^"\n:=]{0,200}"(?![:=])|'[^'\n:=]{0,200}'(?![:=])|["']?[^\s"',;&)}\]]+)/gi,
    `$1${mask}`,
  ],
  // keys that services mark by how they begin
  [
    /\b(?:(?:sk|pk|rk)[-_]|(?:tsr|gh[opsu]|hf|npm|github_pat)_|glpat-|xox[a-z]-|AKIA|ASIA|AIza)[A-Za-z0-9_*-]{8,}/g,
    mask,
  ],
  // signed tokens (JWT)
  [/\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,2}/g, mask],
];

const word = /[A-Za-z0-9+_-]{24,}={0,2}/g;

/** Whether a long word is a random one. A hash in hexadecimal and an id of a run name a thing, and are none. */
const isRandom = (text: string): boolean =>
  /[a-z]/.test(text) && /[A-Z]/.test(text) && /[0-9][^0-9]*[0-9]/.test(text) && !/^[0-9a-f-]+$/i.test(text);

/**
 * A text with its secrets covered, for a log or for an error that leaves the process: keys, bearer tokens, passwords,
 * private keys, and the user and password of an address. What looks like no secret passes unchanged.
 */
export function maskSecrets(text: string): string {
  let masked = text;
  for (const [shape, cover] of shapes) masked = masked.replace(shape, cover);
  return masked.replace(word, (found) => (isRandom(found) ? mask : found));
}
