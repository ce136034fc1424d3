import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { maskSecrets } from "./secrets.js";

const letters = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"];
const random = (least: number, most: number, more = "") =>
  fc
    .array(fc.constantFrom(...letters, ...more), { minLength: least, maxLength: most })
    .map((characters) => characters.join(""));
// a password as people choose it, in an address and after a name
const password = random(8, 20, "!$%^*-_.");

/** A secret, and how it stands in a text. */
const secrets = fc.oneof(
  fc
    .tuple(fc.constantFrom("postgres", "https", "mongodb+srv", "amqp"), random(3, 8), random(8, 20, "!$*-_.@/"))
    .map(([scheme, user, secret]) => ({ secret, text: `${scheme}://${user}:${secret}@db.example:5432/name` })),
  fc
    .tuple(fc.constantFrom("Bearer", "bearer", "Basic", "Authorization: Bearer"), random(12, 60, "-_."))
    .map(([name, secret]) => ({ secret, text: `${name} ${secret}` })),
  fc
    .tuple(
      fc.constantFrom("password", "PASSWORD", "passwd", "api_key", "API key", "apiKey", "client_secret", "access-key"),
      fc.constantFrom("=", ": ", " = ", '":"', "':'"),
      password,
    )
    .map(([name, between, secret]) => ({ secret, text: `${name}${between}${secret}` })),
  fc
    .tuple(
      fc.constantFrom("sk-", "sk-proj-", "tsr_0123456789ab_", "ghp_", "hf_", "glpat-", "xoxb-", "AKIA"),
      random(16, 48),
    )
    .map(([begin, rest]) => ({ secret: rest, text: `${begin}${rest}` })),
  random(12, 40).map((secret) => ({ secret, text: `https://host.example/v1?api_key=${secret}&page=2` })),
  random(12, 40).map((secret) => ({ secret, text: `Incorrect API key provided: ${secret}. You can find it` })),
  fc.tuple(random(20, 40), random(20, 40)).map(([head, secret]) => ({ secret, text: `eyJ${head}.eyJh.${secret}` })),
  random(40, 80).map((secret) => ({
    secret,
    text: `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----`,
  })),
);
const prose = fc
  .array(fc.constantFrom("cannot", "reach", "the", "service", "(", ")", "at", "\n", "429", "docs.sparse"), {
    maxLength: 6,
  })
  .map((words) => words.join(" "));

describe("maskSecrets", () => {
  it("leaves no secret, whatever stands around it", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(prose, secrets), { minLength: 1, maxLength: 3 }), prose, (parts, end) => {
        const text = `${parts.map(([before, { text }]) => `${before} ${text}`).join(" ")} ${end}`;
        const masked = maskSecrets(text);
        for (const [, { secret }] of parts) expect(masked).not.toContain(secret);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    'there is no flow "self-rag-tokens" (known: hybrid, hyde)',
    "run 0f3c9a1e-6a52-4f31-9c2b-2f6f1a9d77e0 failed at ask/attempt#2/rerank",
    `record ${"0123456789abcdef".repeat(4)} is damaged`,
    "this key may make 600 requests a minute; it has 3 tokens left",
    'Unrecognized key: "root"',
    "see https://example.com/docs/errors.md#bad-config",
    "a skeleton-like npm-check-updates monkey-patch",
    "The passages that were found do not answer this question.",
    "東京都の鍵は見つかりません 🙂",
  ])("leaves alone what is none: %s", (text) => {
    expect(maskSecrets(text)).toBe(text);
  });

  it("covers what the fault book names", () => {
    expect(maskSecrets("cannot reach postgres://user:password@db/")).toBe("cannot reach postgres://•••@db/");
    expect(maskSecrets("Incorrect API key provided: sk-abcdefgh12345678.")).not.toContain("abcdefgh");
  });

  it("takes time in proportion to hostile texts", () => {
    const time = (text: string) => {
      const before = process.cpuUsage();
      maskSecrets(text);
      const { user } = process.cpuUsage(before);
      return user / 1000;
    };
    for (const unit of [
      "a://",
      "password",
      "eyJ.",
      "-----BEGIN PRIVATE KEY-----",
      "bearer ",
      "key ",
      "sk-",
      "a-",
      "a.",
      "= ",
    ])
      expect(time(unit.repeat(20_000))).toBeLessThan(2000);
  });
});
