import { HashEncoder, openAiModel } from "@tessera/models";

const encoder = new HashEncoder();
encoder.fit(["The ferry leaves at noon."]);
const [vector] = await encoder.encode(["when does the ferry leave?"], { kind: "query" });
console.log(vector?.length);

// any service with OpenAI's routes: Ollama, llama.cpp, vLLM, …
export const model = openAiModel({ baseUrl: "http://127.0.0.1:11434/v1", model: "llama3.2" });
