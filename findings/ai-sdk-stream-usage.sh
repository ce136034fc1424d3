#!/usr/bin/env bash
# @ai-sdk/openai-compatible 3.0.92 with ai 7.0.173.
# One would guess: `usage` of a streamed answer holds the tokens, as that of a whole answer does, since services of OpenAI's
# kind report them in both.
# What happens: the provider asks a stream for its usage only where it was made with `includeUsage: true`. Without it the
# request has no `stream_options`, a service that follows OpenAI's rule then sends no usage, and `await result.usage` resolves
# with undefined counts: no error, no warning, and a budget that adds them up counts nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 @ai-sdk/openai-compatible@3.0.92
cat >program.mjs <<'PROGRAM'
import { createServer } from "node:http";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

// a service that follows OpenAI's rule: a stream has usage where stream_options.include_usage asks for it
const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 };
const head = { id: "1", created: 1, model: "m" };
const server = createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  const { stream, stream_options: options } = JSON.parse(text);
  if (!stream) {
    response.setHeader("content-type", "application/json");
    const choices = [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }];
    return response.end(JSON.stringify({ ...head, object: "chat.completion", choices, usage }));
  }
  response.setHeader("content-type", "text/event-stream");
  const event = (choices, more) =>
    response.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices, ...more })}\n\n`);
  event([{ index: 0, delta: { role: "assistant", content: "Hello" }, finish_reason: null }]);
  event([{ index: 0, delta: {}, finish_reason: "stop" }]);
  if (options?.include_usage) event([], { usage });
  response.end("data: [DONE]\n\n");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const baseURL = `http://127.0.0.1:${server.address().port}/v1`;
const model = (more) => createOpenAICompatible({ name: "local", baseURL, ...more })("m");
const streamed = async (more) => {
  const result = streamText({ model: model(more), prompt: "Say hello." });
  for await (const _ of result.textStream);
  return (await result.usage).inputTokens ?? "undefined";
};
const whole = (await generateText({ model: model(), prompt: "Say hello." })).usage.inputTokens;
console.log(`input tokens: whole ${whole}, streamed ${await streamed()}, streamed with includeUsage ${await streamed({ includeUsage: true })}`);
server.closeAllConnections();
server.close();
PROGRAM
output=$(node program.mjs)
echo "$output"
test "$output" = "input tokens: whole 7, streamed undefined, streamed with includeUsage 7"
